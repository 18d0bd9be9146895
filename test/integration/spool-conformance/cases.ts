import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type BlobStore, BodyMissingError } from '@waypost/spool';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A driver under test. `stored` lists what is kept under its roof for an id, visible or not. */
export interface Subject {
  readonly blobs: BlobStore;
  stored(id: string): Promise<string[]>;
  /** Octets that have arrived of a body which is still being stored. */
  arrived(id: string): Promise<number>;
  /** Octets the driver may hold in memory of one body. */
  readonly buffer: number;
  stop(): Promise<void>;
}

/** Yields the body in chunks; without a size, of random sizes from 1 octet to 200 KB. */
export async function* chunked(body: Buffer, size?: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; ) {
    const end = at + (size ?? randomInt(1, 200_000));
    yield body.subarray(at, end);
    at = end;
  }
}

export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function listed(blobs: BlobStore, before: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of blobs.list(before)) ids.push(id);
  return ids;
}

const HOUR = 3_600_000;
const SIZES: [string, number][] = [
  ['no octets', 0],
  ['1 octet', 1],
  ['64 KiB less one', 65_535],
  ['64 KiB', 65_536],
  ['64 KiB and one', 65_537],
  ['25 MB', 25_000_000],
];

/** What every driver of the spool must do; each driver has a test file that calls this. */
export function conformance(name: string, start: () => Promise<Subject>): void {
  describe(`${name} spool driver`, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await start();
    }, 30_000);
    afterAll(() => subject?.stop());
    roundTrips(() => subject);
    failures(() => subject);
    housekeeping(() => subject);
  });
}

function roundTrips(subject: () => Subject): void {
  it.each(SIZES)(
    'gives back %s byte for byte, however they were cut',
    async (_, size) => {
      const { blobs } = subject();
      const id = randomUUID();
      const body = randomBytes(size);
      expect(await blobs.put(id, chunked(body))).toBe(size);
      expect((await readAll(await blobs.get(id))).equals(body)).toBe(true);
    },
    60_000,
  );

  it('takes a body in single octets', async () => {
    const { blobs } = subject();
    const id = randomUUID();
    const body = randomBytes(3000);
    await blobs.put(id, chunked(body, 1));
    expect((await readAll(await blobs.get(id))).equals(body)).toBe(true);
  });

  it('keeps 40 concurrent bodies apart', async () => {
    const { blobs } = subject();
    const bodies = Array.from({ length: 40 }, () => ({ id: randomUUID(), body: randomBytes(randomInt(1, 300_000)) }));
    await Promise.all(bodies.map(({ id, body }) => blobs.put(id, chunked(body))));
    for (const { id, body } of bodies) expect((await readAll(await blobs.get(id))).equals(body)).toBe(true);
  }, 60_000);

  it('lets one body be read by several at once', async () => {
    const { blobs } = subject();
    const id = randomUUID();
    const body = randomBytes(700_000);
    await blobs.put(id, chunked(body));
    const copies = await Promise.all([1, 2, 3].map(async () => readAll(await blobs.get(id))));
    for (const copy of copies) expect(copy.equals(body)).toBe(true);
  });

  it('holds little of a body in memory while it comes', async () => {
    const { blobs, arrived, buffer } = subject();
    const id = randomUUID();
    let given = 0;
    let most = 0;
    async function* source() {
      for (const piece of Array.from({ length: 400 }, () => Buffer.alloc(65_536, 7))) {
        yield piece;
        given += piece.length;
        if (given % 1_048_576 === 0) most = Math.max(most, given - (await arrived(id)));
      }
    }
    expect(await blobs.put(id, source())).toBe(400 * 65_536);
    expect(most).toBeLessThanOrEqual(buffer);
  }, 60_000);
}

function failures(subject: () => Subject): void {
  it.each([
    ['at once', 0],
    ['after 100 KB', 100_000],
    ['after 12 MB', 12_000_000],
  ])(
    'leaves nothing of a source that fails %s',
    async (_, size) => {
      const { blobs, stored } = subject();
      const id = randomUUID();
      async function* broken() {
        yield* chunked(randomBytes(size));
        throw new Error('the client went away');
      }
      await expect(blobs.put(id, broken())).rejects.toThrow('the client went away');
      await expect(blobs.get(id)).rejects.toBeInstanceOf(BodyMissingError);
      expect(await stored(id)).toEqual([]);
    },
    60_000,
  );

  it('says that a body is missing', async () => {
    const id = randomUUID();
    await expect(subject().blobs.get(id)).rejects.toEqual(new BodyMissingError(id));
  });

  it('shows nothing of a body before it is whole', async () => {
    const { blobs } = subject();
    const id = randomUUID();
    async function* watched() {
      yield randomBytes(600_000);
      await expect(blobs.get(id)).rejects.toBeInstanceOf(BodyMissingError);
      expect(await listed(blobs, Date.now() + HOUR)).not.toContain(id);
      yield randomBytes(600_000);
    }
    expect(await blobs.put(id, watched())).toBe(1_200_000);
    expect(await listed(blobs, Date.now() + HOUR)).toContain(id);
  });
}

function housekeeping(subject: () => Subject): void {
  it('deletes a body whole, and again without complaint', async () => {
    const { blobs, stored } = subject();
    const id = randomUUID();
    await blobs.put(id, chunked(randomBytes(900_000)));
    expect(await stored(id)).not.toEqual([]);
    await blobs.delete(id);
    await blobs.delete(id);
    await blobs.delete(randomUUID());
    await expect(blobs.get(id)).rejects.toBeInstanceOf(BodyMissingError);
    expect(await stored(id)).toEqual([]);
  });

  it('lists what was stored before a time, once each', async () => {
    const { blobs } = subject();
    const ids: string[] = Array.from({ length: 12 }, () => randomUUID());
    for (const id of ids) await blobs.put(id, chunked(Buffer.from('x')));
    const all = await listed(blobs, Date.now() + HOUR);
    expect(all.filter((id) => ids.includes(id)).sort()).toEqual([...ids].sort());
    expect(await listed(blobs, Date.now() - HOUR)).toEqual([]);
  });

  it('can store a body again under its id', async () => {
    const { blobs } = subject();
    const id = randomUUID();
    const body = randomBytes(400_000);
    await blobs.put(id, chunked(body));
    await blobs.put(id, chunked(body));
    expect((await readAll(await blobs.get(id))).equals(body)).toBe(true);
  });
}
