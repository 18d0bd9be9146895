import type { MailPart, ParsedMail } from '@waypost/mime';
import { checkArchive } from './archives.js';
import { shown } from './headers.js';
import { oleEncrypted, oleMacro } from './macros.js';
import { type ContentKind, contentKind } from './magic.js';
import { pageIn } from './markup.js';
import { checkName, DISK_IMAGES, PROGRAMS, readFileName, SCRIPTS } from './names.js';
import { hasEicar } from './signatures.js';
import type { Report } from './symbols.js';

/** What is known of one file of a message. */
export interface AttachmentFact {
  readonly filename?: string;
  readonly type: string;
  /** Octets, decoded; about, of large ones. */
  readonly size: number;
}

/** Files of one message that are looked into. */
const MOST = 100;
/** Octets unpacked from the archives of one message. */
const UNPACKED = 4 * 1_048_576;
/** Octets of a large file that are looked at for what it is. */
const BEGINNING = 65_536;
/** Files up to this size are decoded as a whole. */
const SMALL = 1_048_576;

/**
 * Applies the attachment rules to every file of a message, and to those in its archives.
 * @returns what files there are.
 */
export function checkAttachments(mail: ParsedMail, report: Report): AttachmentFact[] {
  const budget = { octets: UNPACKED };
  const files = mail.attachments.slice(0, MOST);
  for (const part of files) checkFile(part, budget, report);
  for (const part of mail.leaves) {
    // The test file may be a text that is shown, or stand encoded in a part that says nothing of its encoding.
    if (!files.includes(part) && holdsEicar(part)) report('EICAR', 'the virus test file');
  }
  return files.map((part) => ({
    ...(part.filename ? { filename: part.filename } : {}),
    type: part.type,
    size: sizeOf(part),
  }));
}

/** The test file is the whole of a file or of what is shown, so that it stands at the beginning. */
const holdsEicar = (part: MailPart) => hasEicar(beginningOf(part)) || hasEicar(part.raw.subarray(0, BEGINNING));

const beginningOf = (part: MailPart) => (part.raw.length <= SMALL ? part.content() : part.beginning(BEGINNING));

const sizeOf = (part: MailPart) => {
  if (part.raw.length <= SMALL) return part.content().length;
  return part.encoding === 'base64' ? Math.floor((part.raw.length * 76 * 3) / (78 * 4)) : part.raw.length;
};

function checkFile(part: MailPart, budget: { octets: number }, report: Report): void {
  const octets = beginningOf(part);
  if (holdsEicar(part)) report('EICAR', `the virus test file as ${named(part)}`);
  const names = part.filenames.map(readFileName);
  for (const [at, name] of names.entries()) checkName(part.filenames[at] ?? '', name, report);
  const extension = names[0]?.extension ?? '';
  const kind = contentKind(octets);
  const runs = PROGRAMS.has(extension) || SCRIPTS.has(extension);
  if ((kind === 'program' || kind === 'shortcut') && !runs) report('ATTACH_EXECUTABLE_HIDDEN', named(part));
  if (kind === 'disk-image' || names.some((name) => DISK_IMAGES.has(name.extension))) {
    report('ATTACH_DISK_IMAGE', named(part));
  }
  if (kind === 'zip') checkArchive(part.content(), { label: named(part), budget, depth: 0 }, report);
  if (kind === 'ole') checkOle(part, report);
  if (kind === 'pdf' && ACTIVE.test(octets.toString('latin1'))) report('ATTACH_PDF_ACTIVE', named(part));
  checkMatch(part, extension, kind, octets, report);
  checkPage(part, report);
}

/** Actions of a PDF that run something (ISO 32000-1 §12.6.4). */
const ACTIVE = /\/(?:JavaScript|JS|Launch)\b/;

function checkOle(part: MailPart, report: Report): void {
  const octets = part.content();
  const macro = oleMacro(octets);
  if (macro) report('ATTACH_MACRO', `${macro} in ${named(part)}`);
  if (oleEncrypted(octets)) report('ATTACH_DOCUMENT_ENCRYPTED', named(part));
}

function checkMatch(
  part: MailPart,
  extension: string,
  kind: ContentKind | undefined,
  octets: Buffer,
  report: Report,
): void {
  if (octets.length < 4) return;
  const zip = /^(?:zip|docx|xlsx|pptx)$/.test(extension) && kind !== 'zip' && kind !== 'ole';
  // Readers of PDF look for its mark in the first kilobyte.
  const pdf = extension === 'pdf' && !octets.subarray(0, 1_024).includes('%PDF-');
  if (zip || pdf) report('ATTACH_TYPE_MISMATCH', `${named(part)} is not what its name says`);
}

function checkPage(part: MailPart, report: Report): void {
  const page = pageIn(part);
  if (!page) return;
  const sends = page.formAction !== undefined && /^\s*https?:/i.test(page.formAction);
  if (page.password || sends) report('ATTACH_HTML_PASSWORD', named(part));
  else if (part.disposition === 'attachment' || part.filename !== undefined) report('ATTACH_HTML', named(part));
}

const named = ({ filename, type }: MailPart) => (filename ? shown(filename) : type);
