import { randomBytes } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { mkdir, open as openFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { domainOf, type LaneJob, type Target } from '@waypost/mail';
import { type LaneTarget, OUR_TROUBLE, type Outgoing, type Result, type TargetOutcome } from '../target.js';

let serial = 0;

/** Puts messages into Maildirs: written to tmp/, synced, renamed into new/, the folder synced (Maildir's own rules). */
export class MaildirTarget implements LaneTarget {
  readonly kind = 'maildir';
  readonly alive = true;

  constructor(private readonly target: Extract<Target, { kind: 'maildir' }>) {}

  async prepare(): Promise<undefined> {
    return undefined;
  }

  async send({ job, open: indexes, body }: Outgoing): Promise<TargetOutcome> {
    const results: Result[] = [];
    const open = job.rcpts.filter(({ i }) => indexes.includes(i));
    try {
      for (const { i, to } of open) results.push(await this.#deliver(job, i, to, await body()));
    } catch (error) {
      // The first has it already.
      if (results.length === 0) throw error;
      const left = open.slice(results.length).map(({ i }) => ({ i, ...OUR_TROUBLE }));
      return { results: [...results, ...left], remote: 'maildir', error: error as Error };
    }
    return { results, remote: 'maildir' };
  }

  close(): void {}

  async #deliver(job: LaneJob, i: number, address: string, body: Buffer | Readable): Promise<Result> {
    try {
      const folder = this.#folder(address);
      // The same job always has the same name, so that a replay replaces instead of doubling.
      const name = `${Math.floor(job.receivedAt / 1000)}.M${job.id}R${i}.${hostname().replace(/[/:]/g, '_')}`;
      const head = `Return-Path: <${job.sender}>\r\nDelivered-To: ${address}\r\n`;
      await write(folder, name, head, body);
      return {
        i,
        result: 'delivered',
        reply: { code: 250, enhanced: '2.0.0', text: `delivered to maildir as ${name}` },
        dsn: 'final',
      };
    } catch (error) {
      const text = `Maildir could not be written: ${(error as Error).message}`;
      return { i, result: 'deferred', reply: { code: 451, enhanced: '4.3.0', text } };
    } finally {
      if (!Buffer.isBuffer(body)) body.destroy();
    }
  }

  /** The path with `${address}`, `${local}` and `${domain}` filled in; no part of an address can leave its folder. */
  #folder(address: string): string {
    const values: Record<string, string> = {
      address,
      domain: domainOf(address),
      local: address.slice(0, address.lastIndexOf('@')),
    };
    return this.target.path.replace(/\$\{(address|local|domain)\}/g, (_, key: string) => safe(values[key] as string));
  }
}

function safe(part: string): string {
  const plain = basename(part.toLowerCase().replace(/[^\p{L}\p{N}@._+=-]/gu, '_'));
  return plain === '' || plain.startsWith('.') ? `_${plain}` : plain;
}

async function write(folder: string, name: string, head: string, body: Buffer | Readable): Promise<void> {
  for (const part of ['tmp', 'new', 'cur']) await mkdir(join(folder, part), { recursive: true, mode: 0o700 });
  serial += 1;
  const temp = join(folder, 'tmp', `${name}.${process.pid}.${serial}.${randomBytes(4).toString('hex')}`);
  try {
    const file = await openFile(temp, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      await file.write(head);
      const source = Buffer.isBuffer(body) ? Readable.from([body]) : body;
      await pipeline(source, createWriteStream('', { fd: file.fd, autoClose: false }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temp, join(folder, 'new', name));
    const dir = await openFile(join(folder, 'new'), 'r');
    await dir.sync().finally(() => dir.close());
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
}
