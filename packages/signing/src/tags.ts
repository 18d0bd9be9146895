const WIDTH = 76;

/**
 * A header field of tags (RFC 6376 §3.2), folded between them, within `h=` after its colons and within what is base64.
 * @param tags in their order; the last one may be empty, as `b=` is when the field is hashed.
 */
export function tagField(name: string, tags: readonly (readonly [string, string])[]): string {
  const words = tags.flatMap(([tag, value], at) => wordsOf(tag, value + (at < tags.length - 1 ? ';' : '')));
  let field = `${name}:`;
  let column = field.length;
  for (const { text, spaced } of words) {
    // The signature, which is put in at the end, has lines of its own.
    if (text === 'b=' || column + text.length + 1 > WIDTH) {
      field += `\r\n\t${text}`;
      column = text.length + 1;
    } else {
      field += spaced ? ` ${text}` : text;
      column += text.length + (spaced ? 1 : 0);
    }
  }
  return field;
}

interface Word {
  readonly text: string;
  /** A blank may stand before it on the same line. */
  readonly spaced: boolean;
}

function wordsOf(tag: string, value: string): Word[] {
  const parts = tag === 'h' ? value.split(/(?<=:)/) : tag === 'b' || tag === 'bh' ? chunks(value) : [value];
  return parts.map((part, at) => (at === 0 ? { text: `${tag}=${part}`, spaced: true } : { text: part, spaced: false }));
}

function chunks(value: string): string[] {
  const first = value.slice(0, WIDTH - 4);
  return value.length <= first.length ? [value] : [first, ...(value.slice(first.length).match(/.{1,72}/g) ?? [])];
}

/**
 * Reads a tag list.
 * @returns undefined where it is none: a name twice, or a piece without `=`.
 */
export function parseTags(text: string): Map<string, string> | undefined {
  const tags = new Map<string, string>();
  const pieces = text.split(';');
  // A semicolon may stand at the end.
  if (pieces.at(-1)?.trim() === '') pieces.pop();
  for (const piece of pieces) {
    const at = piece.indexOf('=');
    const name = piece.slice(0, at).trim();
    if (at < 0 || !/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || tags.has(name)) return undefined;
    tags.set(name, piece.slice(at + 1).trim());
  }
  return tags;
}
