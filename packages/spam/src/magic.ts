/** What octets are by their beginning, as far as attachment rules ask. */
export type ContentKind =
  | 'program'
  | 'script'
  | 'zip'
  | 'rar'
  | '7z'
  | 'gzip'
  | 'cab'
  | 'ole'
  | 'pdf'
  | 'image'
  | 'disk-image'
  | 'shortcut'
  | 'rtf';

type Signature = readonly [ContentKind, string, number?];

/** Kind, octets in Latin-1, and where they stand. */
const SIGNATURES: readonly Signature[] = [
  ['program', 'MZ'],
  ['program', '\x7fELF'],
  ['program', '\xfe\xed\xfa\xce'],
  ['program', '\xfe\xed\xfa\xcf'],
  ['program', '\xce\xfa\xed\xfe'],
  ['program', '\xcf\xfa\xed\xfe'],
  ['program', '\xca\xfe\xba\xbe'],
  ['script', '#!'],
  ['zip', 'PK\x03\x04'],
  ['zip', 'PK\x05\x06'],
  ['rar', 'Rar!\x1a\x07'],
  ['7z', "7z\xbc\xaf'\x1c"],
  ['gzip', '\x1f\x8b'],
  ['cab', 'MSCF'],
  ['ole', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['pdf', '%PDF-'],
  ['image', '\x89PNG\r\n\x1a\n'],
  ['image', '\xff\xd8\xff'],
  ['image', 'GIF8'],
  ['image', 'BM'],
  ['image', 'RIFF'],
  ['disk-image', 'CD001', 0x8001],
  ['disk-image', 'conectix'],
  ['disk-image', 'vhdxfile'],
  ['shortcut', 'L\x00\x00\x00\x01\x14\x02\x00'],
  ['rtf', '{\\rt'],
];

/** @returns undefined for what is none of these, such as text. */
export function contentKind(octets: Buffer): ContentKind | undefined {
  const found = SIGNATURES.find(([, mark, at = 0]) => octets.toString('latin1', at, at + mark.length) === mark);
  if (found?.[0] === 'program' && found[1] === 'MZ' && !isPortableExecutable(octets)) return undefined;
  return found?.[0];
}

/** Text may begin with the same two letters: a program has a place for its second header (PE, NE, or none in DOS). */
function isPortableExecutable(octets: Buffer): boolean {
  if (octets.length < 0x40) return false;
  const at = octets.readUInt32LE(0x3c);
  if (/^(?:PE|NE|LE|LX)$/.test(octets.toString('latin1', at, at + 2))) return true;
  return octets.includes(0);
}
