import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3BlobStore, SpoolFullError } from '@waypost/spool';
import S3rver from 's3rver';
import { afterEach, describe, expect, it } from 'vitest';
import { chunked, conformance, readAll } from './cases.js';

const PART = 5_242_880;

const open = (port: number, prefix = 'mail/') =>
  S3BlobStore.create({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    bucket: 'bodies',
    prefix,
    access_key: 'S3RVER',
    secret_key: 'S3RVER',
    force_path_style: true,
  });

interface Store {
  readonly port: number;
  readonly dir: string;
  stop(): Promise<void>;
}

/** Starts an S3 server with an empty bucket. */
async function startStore(): Promise<Store> {
  const dir = await mkdtemp(join(tmpdir(), 'waypost-s3-'));
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory: dir,
    configureBuckets: [{ name: 'bodies', configs: [] }],
  });
  // It knows no AbortMultipartUpload, which every real store has.
  server.middleware.unshift(async (context, next) => {
    const { uploadId } = context.query;
    if (context.method !== 'DELETE' || !uploadId) return next();
    await rm(join(dir, 'bodies', '._S3rver_uploads', uploadId), { recursive: true });
    context.status = 204;
  });
  const { port } = await server.run();
  return {
    port,
    dir,
    stop: async () => {
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Files of a body, and those of uploads, whose names do not tell whose they are. */
async function files(dir: string, id: string): Promise<string[]> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true });
  return found
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .filter((name) => name.includes(id) || name.includes('_uploads/'));
}

conformance('s3', async () => {
  const store = await startStore();
  const blobs = await open(store.port);
  return {
    blobs,
    stored: (id) => files(store.dir, id),
    arrived: async (id) => {
      const sizes = await Promise.all((await files(store.dir, id)).map(async (file) => (await stat(file)).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    // A part that gathers, and one on its way.
    buffer: 2 * PART + 262_144,
    stop: async () => {
      await blobs.close();
      await store.stop();
    },
  };
});

describe('s3 spool driver', () => {
  let store: Store;
  afterEach(() => store.stop());

  it('keeps to its prefix', async () => {
    store = await startStore();
    const [one, two] = [await open(store.port, 'one/'), await open(store.port, 'two/')];
    const id = randomUUID();
    await one.put(id, chunked(Buffer.from('of one')));
    await expect(two.get(id)).rejects.toThrow('not in the spool');
    await two.put(id, chunked(Buffer.from('of two')));
    await two.delete(id);
    expect((await readAll(await one.get(id))).toString()).toBe('of one');
    const listed = [];
    for await (const found of one.list(Date.now() + 3_600_000)) listed.push(found);
    expect(listed).toEqual([id]);
    await one.close();
    await two.close();
  });
});

describe('s3 spool driver before a store that fails', () => {
  let server: Server;
  let blobs: S3BlobStore;
  /** Starts a server that answers as told. */
  const start = async (listener: RequestListener) => {
    server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    blobs = await open((server.address() as AddressInfo).port);
  };
  afterEach(async () => {
    await blobs.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const refuse = (status: number, code: string): RequestListener => {
    return (request, response) => {
      request.resume();
      const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;
      request.on('end', () => response.writeHead(status, { 'content-type': 'application/xml' }).end(body));
    };
  };

  it.each([
    [507, 'InsufficientStorage'],
    [403, 'QuotaExceeded'],
  ])('calls %d %s a full spool', async (status, code) => {
    await start(refuse(status, code));
    await expect(blobs.put(randomUUID(), chunked(randomBytes(1000)))).rejects.toBeInstanceOf(SpoolFullError);
  });

  it('does not call other failures so, nor a body missing that could not be read', async () => {
    await start(refuse(403, 'AccessDenied'));
    const id = randomUUID();
    await expect(blobs.put(id, chunked(randomBytes(1000)))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(blobs.get(id)).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  it('is not done before the store has said so', async () => {
    let answer: (() => void) | undefined;
    await start((request, response) => {
      request.resume();
      request.on('end', () => {
        answer = () => response.writeHead(200, { etag: '"x"' }).end();
      });
    });
    let done = false;
    const put = blobs.put(randomUUID(), chunked(randomBytes(1000))).then((size) => {
      done = true;
      return size;
    });
    await expect.poll(() => answer).toBeDefined();
    expect(done).toBe(false);
    answer?.();
    expect(await put).toBe(1000);
  });
});
