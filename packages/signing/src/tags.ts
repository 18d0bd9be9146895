const WIDTH = 76;
/** Of a line within a long value. */
const LINE = 72;

export type Tag = readonly [name: string, value: string];

/**
 * A header field of tags (RFC 6376 §3.2). It is folded between tags where lines get long, and within `h=` and `b=` at places
 * that do not depend on what stands before: so the field is the same in relaxed form with and without its signature.
 */
export function tagField(name: string, tags: readonly Tag[]): string {
  let field = `${name}:`;
  let column = field.length;
  for (const [at, [tag, value]] of tags.entries()) {
    const [first = '', ...more] = lines(tag, at < tags.length - 1 ? `${value};` : value);
    const folds = column + first.length >= WIDTH;
    field += `${folds ? '\r\n\t' : ' '}${[first, ...more].join('\r\n\t')}`;
    column = more.length > 0 ? (more.at(-1)?.length ?? 0) : first.length + (folds ? 0 : column);
  }
  return field;
}

/** @returns the tag as lines. */
function lines(tag: string, value: string): string[] {
  const whole = `${tag}=${value}`;
  if (tag === 'b') return whole.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  if (tag !== 'h') return [whole];
  const list: string[] = [];
  for (const part of whole.split(/(?<=:)/)) {
    const last = list.at(-1);
    if (last === undefined || last.length + part.length > LINE) list.push(part);
    else list[list.length - 1] = last + part;
  }
  return list;
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
