import { readFileName } from './names.js';
import type { ZipEntry } from './zip.js';

const utf16 = (text: string) => Buffer.from(text, 'utf16le');
/** Names of streams and storages that hold macros (MS-OVBA §2.2.1; `_VBA_PROJECT_CUR` in spreadsheets). */
const STREAMS = ['_VBA_PROJECT', '_VBA_PROJECT_CUR', 'Macros'].map(utf16);
const SECTOR = 128;

/**
 * Looks through the directory of an OLE2 document (MS-CFB §2.6) for macros. Entries are 128 octets, aligned, with the name
 * in UTF-16 at their beginning, so that no chain of sectors need be followed.
 * @returns the name of a stream that holds macros.
 */
export function oleMacro(octets: Buffer): string | undefined {
  for (const name of STREAMS) {
    for (let at = octets.indexOf(name); at >= 0; at = octets.indexOf(name, at + 2)) {
      const length = at + 66 <= octets.length ? octets.readUInt16LE(at + 64) : 0;
      if (at % SECTOR === 0 && length === name.length + 2) return name.toString('utf16le');
    }
  }
  return undefined;
}

/** @returns the part of an Office Open XML document that holds macros. */
export function officeMacro(entries: readonly ZipEntry[]): string | undefined {
  return entries.find(({ name }) => /(?:^|\/)(?:vbaProject|vbaData|attachedToolbars)\.(?:bin|xml)$/i.test(name))?.name;
}

/** @returns whether an archive is a document of an office program. */
export const isOffice = (entries: readonly ZipEntry[]) =>
  entries.some(({ name }) => name === '[Content_Types].xml') ||
  entries.some(({ name }) => name === 'META-INF/manifest.xml');

/** @returns whether an archive is a Java program. */
export const isJar = (entries: readonly ZipEntry[]) =>
  entries.some(({ name }) => name === 'META-INF/MANIFEST.MF') &&
  entries.some(({ name }) => readFileName(name).extension === 'class');
