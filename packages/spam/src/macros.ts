import { readFileName } from './names.js';
import { unpack, type ZipEntry } from './zip.js';

const utf16 = (text: string) => Buffer.from(text, 'utf16le');
/** Names of streams and storages that hold macros (MS-OVBA §2.2.1; `_VBA_PROJECT_CUR` in spreadsheets). */
const STREAMS = ['_VBA_PROJECT', '_VBA_PROJECT_CUR', 'Macros'].map(utf16);
const ENCRYPTED = utf16('EncryptedPackage');
const SECTOR = 128;

/** @returns the name of a stream of an OLE2 document that holds macros. */
export function oleMacro(octets: Buffer): string | undefined {
  return STREAMS.find((name) => hasStream(octets, name))?.toString('utf16le');
}

/** @returns whether an OLE2 document is the wrapping of an encrypted one (MS-OFFCRYPTO §2.3.4). */
export const oleEncrypted = (octets: Buffer) => hasStream(octets, ENCRYPTED);

/**
 * Looks for a stream or storage in the directory of an OLE2 document (MS-CFB §2.6). Entries are 128 octets, aligned, with
 * the name in UTF-16 at their beginning, so that no chain of sectors need be followed.
 */
function hasStream(octets: Buffer, name: Buffer): boolean {
  for (let at = octets.indexOf(name); at >= 0; at = octets.indexOf(name, at + 2)) {
    const length = at + 66 <= octets.length ? octets.readUInt16LE(at + 64) : 0;
    if (at % SECTOR === 0 && length === name.length + 2) return true;
  }
  return false;
}

/** @returns the part of an Office Open XML document that holds macros. */
export function officeMacro(entries: readonly ZipEntry[]): string | undefined {
  return entries.find(({ name }) => /(?:^|\/)(?:vbaProject|vbaData|attachedToolbars)\.(?:bin|xml)$/i.test(name))?.name;
}

/** Octets of one list of relations that are read. */
const RELATIONS = 65_536;

/** @returns what a document loads from elsewhere when it is opened: a template, an object or a frame (ECMA-376 part 2, §9.3). */
export function remotePart(archive: Buffer, entries: readonly ZipEntry[]): string | undefined {
  const lists = entries.filter(({ name }) => /(?:^|\/)_rels\/[^/]+\.rels$/i.test(name)).slice(0, 20);
  for (const entry of lists) {
    const octets = unpack(archive, entry, RELATIONS);
    if (!Buffer.isBuffer(octets)) continue;
    for (const [relation] of octets.toString('utf8').matchAll(/<Relationship\b[^>]{0,4000}>/g)) {
      const loads = /\/(?:attachedTemplate|oleObject|frame|subDocument|externalLink)"/i.test(relation);
      const target = /\bTarget="((?:https?|file|ftp|\\\\)[^"]*)"/i.exec(relation)?.[1];
      if (loads && target && /TargetMode="External"/i.test(relation)) return target;
    }
  }
  return undefined;
}

/** @returns whether an archive is a document of an office program. */
export const isOffice = (entries: readonly ZipEntry[]) =>
  entries.some(({ name }) => name === '[Content_Types].xml') ||
  entries.some(({ name }) => name === 'META-INF/manifest.xml');

/** @returns whether an archive is a Java program. */
export const isJar = (entries: readonly ZipEntry[]) =>
  entries.some(({ name }) => name === 'META-INF/MANIFEST.MF') &&
  entries.some(({ name }) => readFileName(name).extension === 'class');
