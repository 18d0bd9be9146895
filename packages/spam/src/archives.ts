import { shown } from './headers.js';
import { isJar, isOffice, officeMacro, oleMacro, remotePart } from './macros.js';
import { contentKind } from './magic.js';
import { ARCHIVES, checkName, readFileName } from './names.js';
import { hasEicar } from './signatures.js';
import type { Report } from './symbols.js';
import { listZip, unpack, type ZipEntry } from './zip.js';

/** How far archives within archives are followed. */
const DEEPEST = 2;
/** Octets of one file in an archive that are looked at; programs and documents show what they are well before. */
const PEEK = 1_048_576;
/** APPNOTE.TXT 4.4.5. */
const DEFLATED = 8;
/** Files of one archive that are unpacked. */
const PEEKED = 50;
/** An archive that claims to become so many times larger, and so large, is made to fill disks. */
const BOMB_RATIO = 200;
const BOMB_SIZE = 256 * 1_048_576;

export interface ArchivePlace {
  /** What it is called in reasons. */
  readonly label: string;
  /** Octets that may still be unpacked of this message. */
  readonly budget: { octets: number };
  readonly depth: number;
}

/** Looks into a ZIP archive by its directory, and into the files in it within limits. Never throws. */
export function checkArchive(octets: Buffer, place: ArchivePlace, report: Report): void {
  const { entries, broken } = listZip(octets);
  const { label } = place;
  if (broken) report('ATTACH_ARCHIVE_BROKEN', label);
  const macro = officeMacro(entries);
  if (macro) report('ATTACH_MACRO', `${shown(macro)} in ${label}`);
  if (isOffice(entries)) {
    const remote = remotePart(octets, entries);
    if (remote) report('ATTACH_REMOTE_TEMPLATE', `${shown(remote)} in ${label}`);
    return;
  }
  if (isJar(entries)) report('ATTACH_EXECUTABLE_HIDDEN', `${label} is a Java program`);
  if (entries.some(({ encrypted }) => encrypted)) report('ATTACH_ARCHIVE_ENCRYPTED', label);
  const whole = entries.reduce((sum, { unpacked }) => sum + unpacked, 0);
  const overlapping = new Set(entries.map(({ at }) => at)).size < entries.length;
  if (overlapping || (whole > BOMB_SIZE && whole > octets.length * BOMB_RATIO)) {
    report('ATTACH_ARCHIVE_BOMB', `${label}: ${octets.length} octets claim to be ${whole}`);
    return;
  }
  for (const [at, entry] of entries.entries()) {
    const inner = `${shown(entry.name)} in ${label}`;
    if (checkName(entry.name, readFileName(entry.name), report)) report('ATTACH_ARCHIVE_PROGRAM', inner);
    if (at < PEEKED) lookInto(octets, entry, { ...place, label: inner }, report);
  }
}

function lookInto(archive: Buffer, entry: ZipEntry, place: ArchivePlace, report: Report): void {
  const { budget, depth, label } = place;
  const isArchive = ARCHIVES.has(readFileName(entry.name).extension);
  if (isArchive && depth >= DEEPEST) return report('ATTACH_ARCHIVE_NESTED', label);
  if (budget.octets <= 0 || entry.unpacked > PEEK) return;
  const octets = unpack(archive, entry, PEEK);
  // What was unpacked for nothing cost as much.
  if (octets === 'more' || (!octets && entry.method === DEFLATED)) budget.octets -= PEEK;
  if (octets === 'more') return report('ATTACH_ARCHIVE_BOMB', `${label} is larger than it claims to be`);
  if (!octets) return;
  budget.octets -= octets.length;
  if (hasEicar(octets)) report('EICAR', `the virus test file as ${label}`);
  const kind = contentKind(octets);
  if (kind === 'program') report('ATTACH_ARCHIVE_PROGRAM', label);
  else if (kind === 'ole' && oleMacro(octets)) report('ATTACH_MACRO', label);
  else if (kind === 'zip') checkArchive(octets, { ...place, depth: depth + 1 }, report);
}
