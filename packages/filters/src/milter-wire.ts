import type { Socket } from 'node:net';

/** One packet of the milter protocol: a length, a letter, and what belongs to the letter. */
export interface Packet {
  readonly code: string;
  readonly data: Buffer;
}

/** Changes that a milter may ask for; those to bodies, senders and recipients are not offered. */
export const ACTIONS = { addHeaders: 0x01, changeHeaders: 0x10, quarantine: 0x20 } as const;

/** Steps a milter may leave out, or take without an answer (libmilter's mfdef.h names them SMFIP_...). */
export const STEPS = {
  noConnect: 0x01,
  noHelo: 0x02,
  noMail: 0x04,
  noRcpt: 0x08,
  noBody: 0x10,
  noHeaders: 0x20,
  noEndOfHeaders: 0x40,
  silentHeader: 0x80,
  noUnknown: 0x100,
  noData: 0x200,
  skip: 0x400,
  silentConnect: 0x1000,
  silentHelo: 0x2000,
  silentMail: 0x4000,
  silentRcpt: 0x8000,
  silentData: 0x1_0000,
  silentUnknown: 0x2_0000,
  silentEndOfHeaders: 0x4_0000,
  silentBody: 0x8_0000,
  headerSpace: 0x10_0000,
} as const;

export const VERSION = 6;
const MOST = 1_048_576;

export function packet(code: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const data = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(data.length + 1);
  head.write(code, 4, 'latin1');
  return Buffer.concat([head, data]);
}

/** Texts, each ended by NUL; a NUL within would end it early. */
export const texts = (...list: readonly string[]) => list.map((text) => `${text.replaceAll('\0', '')}\0`).join('');

/** @returns the texts of a packet. */
export const readTexts = (data: Buffer): string[] => data.toString('utf8').split('\0').slice(0, -1);

export function numbers(...list: readonly number[]): Buffer {
  const data = Buffer.alloc(list.length * 4);
  for (const [at, value] of list.entries()) data.writeUInt32BE(value, at * 4);
  return data;
}

/** Reads packets in their order. */
export function readPackets(socket: Socket): { next(): Promise<Packet> } {
  const packets: Packet[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  const end = (error: Error) => {
    failure ??= error;
    wake?.();
  };
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const length = rest.readUInt32BE(0);
      if (length < 1 || length > MOST) {
        end(new Error('a packet of a wrong length'));
        return void socket.destroy();
      }
      if (rest.length < length + 4) break;
      packets.push({ code: rest.toString('latin1', 4, 5), data: rest.subarray(5, length + 4) });
      rest = rest.subarray(length + 4);
    }
    wake?.();
  });
  socket.on('error', end);
  socket.on('close', () => end(new Error('the connection was closed')));
  return {
    next: async () => {
      for (;;) {
        const first = packets.shift();
        if (first) return first;
        if (failure) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
