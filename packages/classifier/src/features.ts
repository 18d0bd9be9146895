import type { Letter } from './letter.js';

/** Kinds of features; each kind has its own hash space and its own weight in a message's vector. */
export const KINDS = [
  'word',
  'pair',
  'subject',
  'subjectPair',
  'fact',
  'header',
  'markup',
  'link',
  'host',
  'foreign',
] as const;
export type Kind = (typeof KINDS)[number];
const WORD = 0;
const PAIR = 1;
const SUBJECT = 2;
const SUBJECT_PAIR = 3;
const FACT = 4;
const FOREIGN = 9;

/** Features of one message at most. */
const MOST = 16_384;
const TABLE = 65_536;

/** Distinct features: their hashes and their kinds (places in KINDS). */
export interface Features {
  readonly hashes: Uint32Array;
  readonly kinds: Uint8Array;
  /** How many of the entries count. */
  readonly size: number;
}

/** The distinct features of one message; reused from message to message, as its tables are large. */
export class FeatureBag implements Features {
  readonly hashes = new Uint32Array(MOST);
  readonly kinds = new Uint8Array(MOST);
  size = 0;
  readonly #from = new Uint32Array(MOST);
  readonly #to = new Uint32Array(MOST);
  readonly #source = new Uint16Array(MOST);
  readonly #slots = new Uint16Array(TABLE);
  readonly #round = new Uint32Array(TABLE);
  #now = 0;
  #sources: string[] = [];

  start(sources: string[]): void {
    this.size = 0;
    this.#sources = sources;
    this.#now += 1;
  }

  add(hash: number, kind: number, source: number, from: number, to: number): void {
    let slot = hash & (TABLE - 1);
    while (this.#round[slot] === this.#now) {
      const at = this.#slots[slot] as number;
      if (this.hashes[at] === hash) return;
      slot = (slot + 1) & (TABLE - 1);
    }
    if (this.size === MOST) return;
    const at = this.size++;
    this.#round[slot] = this.#now;
    this.#slots[slot] = at;
    this.hashes[at] = hash;
    this.kinds[at] = kind;
    this.#source[at] = source;
    this.#from[at] = from;
    this.#to[at] = to;
  }

  /** The feature as a person reads it: words in quotes, facts without. */
  describe(at: number): string {
    const name = this.name(at);
    const kind = KINDS[this.kinds[at] as number];
    if (kind === 'word' || kind === 'pair' || kind === 'foreign') return `"${name}"`;
    if (kind === 'subject' || kind === 'subjectPair') return `"${name}" in the subject`;
    if (kind === 'markup') return `<${name}>`;
    return kind === 'link' ? `link: ${name}` : name;
  }

  /** The text that the feature was made from. */
  name(at: number): string {
    const text = this.#sources[this.#source[at] as number] ?? '';
    return text
      .slice(this.#from[at], this.#to[at])
      .replace(/[\s\x00-\x1f\x7f]+/g, ' ')
      .trim();
  }
}

/** Lists the features of a letter. */
export function featuresOf(letter: Letter, bag: FeatureBag): FeatureBag {
  const text = folded(letter.text);
  const subject = folded(letter.subject);
  const sources = [text, subject];
  bag.start(sources);
  const lists = [letter.facts, letter.headers, letter.markup, letter.links, letter.hosts];
  for (const [at, list] of lists.entries()) {
    for (const name of list) bag.add(hashOf(name, FACT + at), FACT + at, sources.push(name) - 1, 0, name.length);
  }
  new Scanner(bag, subject, 1).run(SUBJECT, SUBJECT_PAIR);
  new Scanner(bag, text, 0).run(WORD, PAIR);
  return bag;
}

/** Letters alike to a reader become alike: widths, ligatures, mathematical alphabets; what is not seen is taken out. */
function folded(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return text
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .normalize('NFKC')
    .replace(/[\u2018\u2019\u02bc]/g, "'");
}

const FNV = 0x01000193;

/** FNV-1a over UTF-16 units, seeded by kind. */
function hashOf(text: string, kind: number): number {
  let hash = seed(kind);
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV);
  return finish(hash);
}

const seed = (kind: number) => Math.imul(0x811c9dc5 ^ (kind + 1), FNV);

/** Spreads the bits, as buckets are taken from the lower ones. */
function finish(hash: number): number {
  let mixed = hash ^ (hash >>> 15);
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  mixed ^= mixed >>> 12;
  return mixed >>> 0;
}

const SPACE = 0;
const LETTER = 1;
const DIGIT = 2;
const SIGN = 3;
const BREAK = 4;
const IDEOGRAPH = 5;
/** What an ASCII character is to the scanner. */
const ASCII = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code);
  if (code <= 32) return SPACE;
  if (/[a-z']/i.test(char)) return LETTER;
  if (/[0-9]/.test(char)) return DIGIT;
  return /[!?$%]/.test(char) ? SIGN : BREAK;
});

function classOf(code: number): number {
  if (code < 128) return ASCII[code] as number;
  if (code === 0xa0 || code === 0x3000 || (code >= 0x2000 && code <= 0x200a) || code === 0x2028 || code === 0x2029)
    return SPACE;
  if (code === 0xa3 || code === 0x20ac || code === 0xa5) return SIGN;
  if (code < 0xc0 || (code >= 0x2010 && code <= 0x2bff) || (code >= 0x3001 && code <= 0x303f)) return BREAK;
  if ((code >= 0x3040 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff)) return IDEOGRAPH;
  return LETTER;
}

const LONGEST_WORD = 24;
const DIGIT_MARK = 0x23;
/** Dates tell when the training mail was collected. */
const DATES = new Set(
  'jan feb mar apr jun jul aug sep sept oct nov dec january february march april june july august september october november december mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday am pm gmt est edt pst pdt cet cest bst utc'
    .split(' ')
    .map((word) => hashOf(word, 0)),
);

/** Walks over a text once and lists its words and pairs of words. */
class Scanner {
  readonly #lower: string;
  #last = 0;
  #lastFrom = -1;
  #wordKind = WORD;
  #pairKind = PAIR;

  constructor(
    private readonly bag: FeatureBag,
    text: string,
    private readonly source: number,
  ) {
    this.#lower = text.toLowerCase();
  }

  run(wordKind: number, pairKind: number): void {
    this.#wordKind = wordKind;
    this.#pairKind = pairKind;
    const text = this.#lower;
    for (let at = 0; at < text.length; ) {
      while (at < text.length && classOf(text.charCodeAt(at)) === SPACE) at += 1;
      let end = at;
      let address = false;
      while (end < text.length && classOf(text.charCodeAt(end)) !== SPACE) {
        const code = text.charCodeAt(end);
        if (code === 0x40 || (code === 0x2f && text.charCodeAt(end - 1) === 0x2f)) address = true;
        end += 1;
      }
      if (address || text.startsWith('www.', at)) this.#lastFrom = -1;
      else this.#chunk(at, end);
      at = end;
    }
  }

  /** What stands between blanks. */
  #chunk(from: number, to: number): void {
    const text = this.#lower;
    for (let at = from; at < to; ) {
      const kind = classOf(text.charCodeAt(at));
      if (kind === BREAK) at += 1;
      else if (kind === IDEOGRAPH) at = this.#ideographs(at, to);
      else if (kind === SIGN && (at + 1 >= to || classOf(text.charCodeAt(at + 1)) !== DIGIT)) {
        this.#word(at, at + 1);
        at += 1;
      } else {
        let end = at + 1;
        while (end < to) {
          const next = classOf(text.charCodeAt(end));
          if (next !== LETTER && next !== DIGIT && !(next === BREAK && isInner(text, end, to))) break;
          end += 1;
        }
        if (end < to && text.charCodeAt(end) === 0x25) end += 1;
        this.#word(at, end);
        at = end;
      }
    }
  }

  #word(from: number, to: number): void {
    if (to - from > LONGEST_WORD) {
      this.#lastFrom = -1;
      return;
    }
    const text = this.#lower;
    let hash = seed(this.#wordKind);
    let plain = seed(0);
    for (let at = from; at < to; at++) {
      let code = text.charCodeAt(at);
      if (code >= 0x30 && code <= 0x39) code = DIGIT_MARK;
      hash = Math.imul(hash ^ code, FNV);
      plain = Math.imul(plain ^ code, FNV);
    }
    const word = finish(plain);
    if (DATES.has(word)) return;
    this.bag.add(finish(hash), this.#wordKind, this.source, from, to);
    if (this.#lastFrom >= 0) {
      const pair = finish(Math.imul(Math.imul(seed(this.#pairKind) ^ this.#last, FNV) ^ word, FNV));
      this.bag.add(pair, this.#pairKind, this.source, this.#lastFrom, to);
    }
    this.#last = word;
    this.#lastFrom = from;
  }

  /** Writing without blanks between words: pairs of characters. */
  #ideographs(from: number, to: number): number {
    const text = this.#lower;
    let at = from;
    for (; at < to && classOf(text.charCodeAt(at)) === IDEOGRAPH; at++) {
      let hash = Math.imul(seed(FOREIGN) ^ text.charCodeAt(at), FNV);
      hash = Math.imul(hash ^ (at + 1 < to ? text.charCodeAt(at + 1) : 0), FNV);
      this.bag.add(finish(hash), FOREIGN, this.source, at, Math.min(at + 2, to));
    }
    this.#lastFrom = -1;
    return at;
  }
}

/** A dot or comma between digits is part of a number. */
function isInner(text: string, at: number, to: number): boolean {
  const code = text.charCodeAt(at);
  if (code !== 0x2e && code !== 0x2c) return false;
  return at + 1 < to && classOf(text.charCodeAt(at - 1)) === DIGIT && classOf(text.charCodeAt(at + 1)) === DIGIT;
}
