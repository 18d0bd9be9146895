import type { ParsedMail } from '@waypost/mime';

/** In pieces, so that no scanner takes this program for what it looks for. */
const GTUBE = ['XJS*C4JDBQADN1.NSBN3*2IDNEN*', 'GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL', '*C.34X'].join('');
const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE', '!$H+H*'].join(''));

/** @returns whether a text part holds the spam test pattern, however it is encoded. */
export function hasGtube(mail: ParsedMail): boolean {
  const { leaves } = mail;
  return leaves.some((part) => part.type.startsWith('text/') && part.content().includes(GTUBE));
}

/** @returns whether octets hold the virus test file. */
export const hasEicar = (octets: Buffer) => octets.includes(EICAR);
