import { decodeCharset } from './charset.js';
import { decodeWords } from './words.js';

/** A structured value such as that of Content-Type: `text/plain; charset=utf-8`. */
export interface Structured {
  /** What stands before the parameters, in lower case. */
  readonly value: string;
  /** By name in lower case; the first of several counts. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Values of names that came again with other values: what another reader may take instead. */
  readonly repeated: readonly { readonly name: string; readonly value: string }[];
}

/** More parameters than anyone writes. */
const MOST = 100;
/** Characters that are read; the rest of a longer value is passed over. */
const LONGEST = 65_536;
/** Pieces of one continued value. */
const SECTIONS = 100;

/**
 * Reads a value with parameters (RFC 2045 §5.1), with continuations and charsets of RFC 2231 and the encoded words that
 * many put there all the same. Never throws, whatever it is given.
 * @param text unfolded.
 */
export function parseParameters(text: string): Structured {
  const plain = withoutComments(text.slice(0, LONGEST));
  const first = plain.indexOf(';');
  const value = (first < 0 ? plain : plain.slice(0, first)).trim().toLowerCase();
  const parameters = new Map<string, string>();
  const repeated: { name: string; value: string }[] = [];
  const sections = new Map<string, Section[]>();
  for (const [name, given] of first < 0 ? [] : pairs(plain.slice(first + 1))) {
    const [, base = name, index, extended] = /^([^*]+)(?:\*(\d{1,3}))?(\*)?$/.exec(name) ?? [];
    if (index === undefined && !extended) add(base, decodeWords(given));
    else {
      const list = sections.get(base) ?? [];
      if (list.length < SECTIONS)
        list.push({ index: Number(index ?? 0), extended: extended !== undefined, text: given });
      sections.set(base, list);
    }
  }
  // The extended form is preferred (RFC 6266 §4.3 says so for the same syntax).
  for (const [name, list] of sections) {
    const plainForm = parameters.get(name);
    parameters.delete(name);
    parameters.set(name, join(list));
    if (plainForm !== undefined) add(name, plainForm);
  }
  return { value, parameters, repeated };

  function add(name: string, given: string) {
    const known = parameters.get(name);
    if (known === undefined) parameters.set(name, given);
    else if (known !== given) repeated.push({ name, value: given });
  }
}

interface Section {
  readonly index: number;
  readonly extended: boolean;
  readonly text: string;
}

/** Joins the sections of a continued value (RFC 2231 §3, §4). */
function join(list: Section[]): string {
  list.sort((one, other) => one.index - other.index);
  let charset = '';
  const octets = list.map(({ extended, text }, at) => {
    if (!extended) return Buffer.from(text);
    const [, named, , rest] = (at === 0 && /^([^']*)'([^']*)'(.*)$/s.exec(text)) || [];
    if (named !== undefined) charset = named;
    return percentDecoded(rest ?? text);
  });
  return decodeCharset(Buffer.concat(octets), charset);
}

function percentDecoded(text: string): Buffer {
  const latin1 = text.replace(/%([0-9a-f]{2})|[^\x00-\x7f]+/gi, (found, digits: string | undefined) =>
    digits ? String.fromCharCode(Number.parseInt(digits, 16)) : Buffer.from(found).toString('latin1'),
  );
  return Buffer.from(latin1, 'latin1');
}

/** `name=value` pairs, where a value may be quoted; blanks around them are not theirs. */
function* pairs(text: string): Generator<[string, string]> {
  const PAIR = /\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))[^;]*(?:;|$)|[^;]*(?:;|$)/gsy;
  for (let count = 0; count < MOST && PAIR.lastIndex < text.length; count++) {
    const match = PAIR.exec(text);
    if (!match) return;
    const [, name, quoted, bare] = match;
    if (name !== undefined) yield [name.toLowerCase(), quoted?.replace(/\\(.)/gs, '$1') ?? bare?.trim() ?? ''];
  }
}

/** Takes comments in parentheses out, where they are not inside quotes (RFC 5322 §3.2.2). */
function withoutComments(text: string): string {
  if (!text.includes('(')) return text;
  let out = '';
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (char === '\\') {
      if (depth === 0) out += char + (text[at + 1] ?? '');
      at += 1;
    } else if (char === '"' && depth === 0) {
      quoted = !quoted;
      out += char;
    } else if (!quoted && char === '(') depth += 1;
    else if (!quoted && char === ')' && depth > 0) depth -= 1;
    else if (depth === 0) out += char;
  }
  // A parenthesis that never closes is part of a name rather than a comment.
  return depth > 0 ? text : out;
}
