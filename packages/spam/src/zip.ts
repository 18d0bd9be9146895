import { inflateRawSync } from 'node:zlib';

/** One file in an archive, by the archive's directory. */
export interface ZipEntry {
  readonly name: string;
  readonly encrypted: boolean;
  /** Octets packed and unpacked, as the archive claims. */
  readonly packed: number;
  readonly unpacked: number;
  /** Offset of its local header, and how it is packed. */
  readonly at: number;
  readonly method: number;
}

export interface ZipListing {
  readonly entries: readonly ZipEntry[];
  /** The directory cannot be read to its end. */
  readonly broken: boolean;
}

const END = 'PK\x05\x06';
const CENTRAL = 0x0201_4b50;
const LOCAL = 0x0403_4b50;
/** In place of a size that stands in a ZIP64 field. */
const WIDE = 0xffff_ffff;
const MOST = 2_000;
const NAME = 1_024;

/**
 * Lists a ZIP archive by its central directory (APPNOTE.TXT 4.3.12), which is what programs show of it. Never throws;
 * nothing is unpacked.
 */
export function listZip(octets: Buffer): ZipListing {
  const end = octets.lastIndexOf(END, octets.length, 'latin1');
  if (end < 0 || end + 22 > octets.length) return { entries: [], broken: true };
  const size = octets.readUInt32LE(end + 12);
  const declared = octets.readUInt32LE(end + 16);
  const count = octets.readUInt16LE(end + 10);
  // Octets put before an archive shift all its offsets, and programs read it all the same.
  const start = end - size >= 0 && size > 0 ? end - size : declared;
  const shift = start - declared;
  const entries: ZipEntry[] = [];
  let at = start;
  while (entries.length < MOST && at + 46 <= end && octets.readUInt32LE(at) === CENTRAL) {
    const nameLength = octets.readUInt16LE(at + 28);
    const flags = octets.readUInt16LE(at + 8);
    const extraLength = octets.readUInt16LE(at + 30);
    const wide = wideSizes(octets.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength));
    const size = (place: number) => {
      const value = octets.readUInt32LE(at + place);
      return value === WIDE ? (wide.shift() ?? value) : value;
    };
    // In the order in which the wide ones stand in their field.
    const [unpacked, packed, offset] = [size(24), size(20), size(42)];
    entries.push({
      name: octets.toString('utf8', at + 46, at + 46 + Math.min(nameLength, NAME)),
      encrypted: (flags & 1) !== 0,
      method: octets.readUInt16LE(at + 10),
      packed,
      unpacked,
      at: offset + shift,
    });
    at += 46 + nameLength + extraLength + octets.readUInt16LE(at + 32);
  }
  return { entries, broken: entries.length === 0 ? count > 0 || end > 22 : entries.length < Math.min(count, MOST) };
}

/** @returns the 64-bit sizes of a ZIP64 field among the extra fields (APPNOTE.TXT 4.5.3). */
function wideSizes(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    return Array.from({ length: Math.min(3, Math.floor(field.length / 8)) }, (_, i) =>
      Number(field.readBigUInt64LE(i * 8)),
    );
  }
  return [];
}

/**
 * Unpacks one file.
 * @returns `more` where it is over `most` octets; undefined where it is encrypted, broken or packed in another way than
 *   stored and deflated.
 */
export function unpack(octets: Buffer, entry: ZipEntry, most: number): Buffer | 'more' | undefined {
  const { at, encrypted, method, packed } = entry;
  if (encrypted || at < 0 || at + 30 > octets.length || octets.readUInt32LE(at) !== LOCAL) return undefined;
  const from = at + 30 + octets.readUInt16LE(at + 26) + octets.readUInt16LE(at + 28);
  const data = octets.subarray(from, from + packed);
  if (method === 0) return data.length > most ? 'more' : data;
  if (method !== 8) return undefined;
  try {
    return inflateRawSync(data, { maxOutputLength: most });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'more' : undefined;
  }
}
