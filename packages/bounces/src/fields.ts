/** A group of fields such as a delivery status has: names in lower case, values unfolded. */
export type Fields = ReadonlyMap<string, string>;

/** Groups read at most; a report on more recipients is nobody's. */
const GROUPS = 1_000;

/** Splits a body of field groups, which empty lines part (RFC 3464 §2.1.1). */
export function fieldGroups(text: string): Fields[] {
  const groups: Map<string, string>[] = [];
  let fields = new Map<string, string>();
  let last = '';
  for (const line of text.split('\n')) {
    const plain = line.replace(/\r$/, '');
    if (plain.trim() === '') {
      if (fields.size > 0) groups.push(fields);
      if (groups.length >= GROUPS) return groups;
      fields = new Map();
      last = '';
      continue;
    }
    const found = /^([!-9;-~]{1,80})[ \t]*:[ \t]*(.*)$/.exec(plain);
    if (found && !/^[ \t]/.test(plain)) {
      last = (found[1] as string).toLowerCase();
      // Recipients may follow each other without an empty line in between.
      if (/^(?:final|original)-recipient$/.test(last) && fields.has(last)) {
        groups.push(fields);
        if (groups.length >= GROUPS) return groups;
        fields = new Map();
      }
      // The first one counts: some hosts repeat a field with less in it.
      if (!fields.has(last)) fields.set(last, found[2] as string);
      else last = '';
    } else if (last) fields.set(last, `${fields.get(last)} ${plain.trim()}`);
  }
  if (fields.size > 0) groups.push(fields);
  return groups;
}

/** @returns the value of a typed field such as `rfc822; a@example.com`, without its type. */
export const untyped = (value: string | undefined): string =>
  (value ?? '').replace(/^\s*[a-z0-9-]{1,20}\s*;\s*/i, '').trim();
