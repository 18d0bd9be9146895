import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BodyMissingError, FsBlobStore, SpoolFullError } from '@waypost/spool';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunked, conformance, readAll } from './cases.js';

const files = async (dir: string, id: string) =>
  (await readdir(dir, { recursive: true })).filter((name) => name.includes(id)).map((name) => join(dir, name));

conformance('fs', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'waypost-spool-'));
  return {
    blobs: await new FsBlobStore(dir).init(),
    stored: (id) => files(dir, id),
    arrived: async (id) => {
      const [file] = await files(dir, id);
      return file ? (await stat(file)).size : 0;
    },
    buffer: 262_144,
    stop: () => rm(dir, { recursive: true }),
  };
});

describe('fs spool driver and crashes', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'waypost-spool-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  /** Runs a put in a process of its own and kills that when it has printed the line asked for. */
  async function killedAt(line: 'half' | 'stored', id: string): Promise<void> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'put-child.mjs'), dir, id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let text = '';
    for await (const chunk of child.stdout) {
      text += chunk;
      if (text.includes(`${line}\n`)) break;
    }
    child.kill('SIGKILL');
    const [, signal] = await exited;
    expect(signal).toBe('SIGKILL');
  }

  it('shows no body when the process is killed in the middle of it', async () => {
    const id = randomUUID();
    await killedAt('half', id);
    expect(await files(dir, id)).toHaveLength(1);
    const blobs = await new FsBlobStore(dir).init();
    await expect(blobs.get(id)).rejects.toBeInstanceOf(BodyMissingError);
    for await (const listed of blobs.list(Date.now() + 60_000)) expect.fail(`${listed} is listed`);
  });

  it('keeps a whole body when the process is killed once it is stored', async () => {
    const id = randomUUID();
    await killedAt('stored', id);
    const blobs = await new FsBlobStore(dir).init();
    const body = await readAll(await blobs.get(id));
    expect(body.length).toBe(20 * 65_536);
    expect(body.every((octet, at) => octet === Math.floor(at / 65_536))).toBe(true);
  });

  it('clears at its start what a crash left over an hour ago, and nothing younger', async () => {
    await new FsBlobStore(dir).init();
    const old = join(dir, 'tmp', `${randomUUID()}.old`);
    const young = join(dir, 'tmp', `${randomUUID()}.young`);
    for (const name of [old, young]) await writeFile(name, 'half a body');
    await utimes(old, new Date(), new Date(Date.now() - 3_700_000));
    await new FsBlobStore(dir).init();
    expect(await readdir(join(dir, 'tmp'))).toEqual([young.slice(join(dir, 'tmp').length + 1)]);
  });

  it('lets only its own user read bodies', async () => {
    const blobs = await new FsBlobStore(join(dir, 'deep', 'spool')).init();
    const id = randomUUID();
    await blobs.put(id, chunked(randomBytes(10)));
    const [file = ''] = await files(dir, id);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    for (const folder of [join(file, '..'), join(file, '../..'), join(file, '../../tmp')]) {
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
    }
  });

  it('passes by what is not its own in the folder', async () => {
    const blobs = await new FsBlobStore(dir).init();
    await writeFile(join(dir, 'README'), 'a volume');
    expect(await Array.fromAsync(blobs.list(Date.now() + 60_000))).toEqual([]);
  });

  it.each(['ENOSPC', 'EDQUOT'])('calls %s a full spool and leaves nothing', async (code) => {
    const blobs = await new FsBlobStore(dir).init();
    const id = randomUUID();
    async function* full() {
      yield randomBytes(300_000);
      throw Object.assign(new Error('no room'), { code });
    }
    await expect(blobs.put(id, full())).rejects.toBeInstanceOf(SpoolFullError);
    expect(await files(dir, id)).toEqual([]);
  });

  it('refuses an id that could lead out of its folder', async () => {
    const blobs = await new FsBlobStore(dir).init();
    await expect(blobs.get('../../../../../../etc/passwd')).rejects.toThrow('is no message id');
  });
});
