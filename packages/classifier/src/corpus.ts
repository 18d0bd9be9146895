import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** One message of a collection. */
export interface Specimen {
  /** The file, and for an mbox the message's number in it. */
  readonly source: string;
  /** Name of the folder it lies in; of a Maildir's message, the Maildir's name. */
  readonly folder: string;
  readonly message: Buffer;
}

/** A message longer than this is cut: no classifier reads so far. */
const MOST = 4 * 1024 * 1024;
/** An mbox is read as a whole. */
const MOST_MBOX = 1024 * 1024 * 1024;

/**
 * Reads messages from a file (one message, or an mbox of several) or a folder of them, with all folders below it; a Maildir
 * is such a folder. In the order of their paths; hidden files are passed over.
 * @throws Error (ENOENT …) where the path cannot be read.
 */
export async function* readCorpus(path: string): AsyncGenerator<Specimen> {
  if ((await stat(path)).isDirectory()) {
    const entries = await readdir(path, { withFileTypes: true });
    entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    for (const entry of entries) {
      if (entry.name.startsWith('.') || IGNORED.has(entry.name)) continue;
      if (entry.isDirectory() || entry.isFile()) yield* readCorpus(join(path, entry.name));
    }
    return;
  }
  if ((await stat(path)).size > MOST_MBOX) throw new Error(`${path} is larger than ${MOST_MBOX} octets; split it`);
  const content = await readFile(path);
  const folder = folderOf(path);
  let count = 0;
  for (const message of messagesIn(content)) {
    count += 1;
    yield { source: count === 1 ? path : `${path}#${count}`, folder, message: message.subarray(0, MOST) };
  }
}

/** What lies beside messages in collections. */
const IGNORED = new Set(['tmp', 'SOURCE.txt', 'LICENSE', 'README.md', 'cmds']);

function folderOf(path: string): string {
  const folder = dirname(path);
  const name = basename(folder);
  return name === 'cur' || name === 'new' ? basename(dirname(folder)) : name;
}

/** The messages of a file: of an mbox (RFC 4155) those between its separator lines, else the file itself. */
function messagesIn(content: Buffer): Buffer[] {
  if (content.toString('latin1', 0, 5) !== 'From ') return content.length > 0 ? [content] : [];
  const starts = [0];
  // A separator follows an empty line and ends in a year; other lines that start so are text.
  for (const match of content.toString('latin1').matchAll(/\n\r?\nFrom \S+.{0,80}\d\d:\d\d:\d\d.{0,20}\d{4}\r?\n/g)) {
    starts.push(match.index + match[0].indexOf('From '));
  }
  return starts.map((start, at) => content.subarray(start, starts[at + 1]));
}
