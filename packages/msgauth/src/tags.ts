const NAME = /^[A-Za-z][A-Za-z0-9_]*$/;
/** Printable characters but the semicolon, octets of UTF-8 (RFC 8616), and blanks between them. */
const VALUE = /^[\x21-\x3a\x3c-\x7e\x80-\uffff \t\r\n]*$/;
const BLANK = ' \t\r\n';

/** Tags by name, values without the blanks around them; or what is wrong with the list. */
export type TagList = ReadonlyMap<string, string> | { readonly wrong: string };

/** Reads a tag list (RFC 6376 §3.2) strictly: names are case-sensitive, and one that comes twice spoils the list. */
export function readTags(text: string): TagList {
  const tags = new Map<string, string>();
  const specs = text.split(';');
  // One semicolon may end the list.
  if (specs.length > 1 && trimBlanks(specs.at(-1) ?? '') === '') specs.pop();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    if (equals < 0) return { wrong: trimBlanks(spec) === '' ? 'empty tag' : 'tag without "="' };
    const name = trimBlanks(spec.slice(0, equals));
    const value = trimBlanks(spec.slice(equals + 1));
    if (!NAME.test(name)) return { wrong: 'invalid tag name' };
    if (!VALUE.test(value)) return { wrong: `invalid value of ${name}=` };
    if (tags.has(name)) return { wrong: `${name}= twice` };
    tags.set(name, value);
  }
  return tags;
}

/** Where a tag's value stands in a list, blanks included; undefined where it is not there. */
export function spanOfTag(text: string, name: string): { readonly start: number; readonly end: number } | undefined {
  for (let at = 0; at <= text.length; ) {
    const semicolon = text.indexOf(';', at);
    const end = semicolon < 0 ? text.length : semicolon;
    const spec = text.slice(at, end);
    const equals = spec.indexOf('=');
    if (equals >= 0 && trimBlanks(spec.slice(0, equals)) === name) return { start: at + equals + 1, end };
    at = end + 1;
  }
  return undefined;
}

/** Without the blanks within, as in base64 values (RFC 6376 §3.5). */
export const withoutBlanks = (text: string) => text.replace(/[ \t\r\n]+/g, '');

/** Trimmed without a regular expression, as one that ends in `$` takes quadratic time on many blanks. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && BLANK.includes(text.charAt(start))) start += 1;
  while (end > start && BLANK.includes(text.charAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}
