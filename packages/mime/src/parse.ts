import { type MailDefect, type MailPart, MIME_LIMITS, type MimeLimits, type ParsedMail } from './message.js';
import { isKnownEncoding, Part } from './part.js';
import { guessBoundary, splitMultipart } from './split.js';
import { decodeWords } from './words.js';

/**
 * Takes a message apart into its MIME parts (RFC 2045, RFC 2046). Never throws, whatever it is given: what is malformed is
 * read as mail programs read it, and named in `defects`. Nothing is decoded before it is asked for, and octets are views on
 * the message, so that a part's `whole` and `raw` are byte for byte what stands in it.
 *
 * One parse serves all checks of a message: policy keeps it in the message's context.
 *
 *     const mail = parseMail(message);
 *     mail.header('from');                       // unfolded, undecoded; `parseAddresses` reads it
 *     mail.plainText(), mail.htmlText();         // the text that is shown
 *     mail.attachments.map((part) => [part.filename, part.type, part.content()]);
 *     mail.type === 'multipart/signed' && mail.parts[0]?.whole;   // the signed octets (RFC 1847 §2.1)
 *
 * @param message the whole message, with any line ends; a truncated one is fine.
 */
export function parseMail(message: Buffer, limits: MimeLimits = MIME_LIMITS): ParsedMail {
  const defects = new Set<MailDefect>();
  const all: Part[] = [];
  let decoded = 0;
  const root = grow(message, { path: '', depth: 0, defaultType: 'text/plain' });
  return Object.assign(root, overview(all), { all, defects });

  function grow(whole: Buffer, place: ConstructorParameters<typeof Part>[1]): Part {
    const part = new Part(whole, place, limits.text);
    all.push(part);
    note(part, defects);
    if (part.type.startsWith('multipart/')) growMultipart(part);
    else if (HOLDS_MESSAGE.has(part.type)) growMessage(part);
    return part;
  }

  function growMultipart(part: Part): void {
    if (part.depth >= limits.depth) return void defects.add('too-deep');
    const given = part.parameters.get('boundary');
    if (!given) defects.add('no-boundary');
    const boundary = given || guessBoundary(part.raw);
    if (!boundary) return;
    const room = limits.parts - all.length;
    if (room <= 0) return void defects.add('too-many-parts');
    const { parts, closed, cut } = splitMultipart(part.raw, boundary, room);
    if (parts.length === 0) defects.add('boundary-never-used');
    else if (cut) defects.add('too-many-parts');
    else if (!closed) defects.add('boundary-not-closed');
    const defaultType = part.type === 'multipart/digest' ? 'message/rfc822' : 'text/plain';
    for (const [at, whole] of parts.entries()) {
      if (all.length >= limits.parts) return void defects.add('too-many-parts');
      part.parts.push(grow(whole, { path: below(part, at + 1), depth: part.depth + 1, defaultType }));
    }
  }

  function growMessage(part: Part): void {
    if (part.depth >= limits.depth) return void defects.add('too-deep');
    if (all.length >= limits.parts) return void defects.add('too-many-parts');
    // Encoded messages within encoded messages, each held in memory, would come to many times the whole.
    if (part.isEncoded) decoded += part.raw.length;
    if (decoded > message.length * DECODED) return void defects.add('too-deep');
    const place = { path: below(part, 1), depth: part.depth + 1, defaultType: 'text/plain' };
    part.parts.push(grow(part.content(), place));
  }
}

/** Times a message's size that is decoded of messages within it. */
const DECODED = 2;
const HOLDS_MESSAGE = new Set(['message/rfc822', 'message/global', 'message/news']);

const below = ({ path }: MailPart, at: number) => (path === '' ? String(at) : `${path}.${at}`);

function note(part: Part, defects: Set<MailDefect>): void {
  if (!part.headerEnds && part.depth === 0) defects.add('no-header-end');
  if (part.repeats.field) defects.add('repeated-structure-field');
  if (part.repeats.parameter) defects.add('repeated-parameter');
  if (!isKnownEncoding(part.encoding)) defects.add('unknown-encoding');
  if (part.type.startsWith('multipart/') && /^(?:base64|quoted-printable)$/.test(part.encoding)) {
    defects.add('encoded-multipart');
  }
}

/** What is asked of a message as a whole. */
function overview(all: readonly Part[]) {
  const leaves = all.filter(({ parts }) => parts.length === 0);
  const shown = leaves.filter(isShown);
  const joined = (type: string) => {
    let text: string | undefined;
    return () => {
      text ??= shown
        .filter((part) => part.type === type)
        .map((part) => part.text())
        .join('\n');
      return text;
    };
  };
  return {
    leaves,
    attachments: leaves.filter((part) => !isShown(part)),
    subject: decodeWords(all[0]?.header('subject') ?? ''),
    plainText: joined('text/plain'),
    htmlText: joined('text/html'),
  };
}

const isShown = (part: MailPart) =>
  (part.type === 'text/plain' || part.type === 'text/html') &&
  part.disposition !== 'attachment' &&
  part.filename === undefined;
