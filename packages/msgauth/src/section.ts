import { type FieldSpan, headerEnd, headerFields } from '@waypost/mail';

/** A message's header section, split for the checks that read it. */
export interface HeaderSection {
  readonly message: Buffer;
  readonly fields: readonly FieldSpan[];
  /** Fields by name in lower case, in their order. */
  readonly byName: ReadonlyMap<string, readonly FieldSpan[]>;
  /** First octet of the body. */
  readonly bodyAt: number;
}

/** Octets of a header section that are read; no mail program makes more. */
const MOST_OCTETS = 1_048_576;

/**
 * @param message with CRLF line ends.
 * @returns undefined where the header section is too large to be judged.
 */
export function readSection(message: Buffer): HeaderSection | undefined {
  const end = headerEnd(message);
  const bodyAt = end < 0 ? message.length : end;
  if (bodyAt > MOST_OCTETS) return undefined;
  const sectionEnd = end < 0 ? bodyAt : bodyAt - (message[bodyAt - 2] === CR ? 2 : 1);
  const found = headerFields(message, bodyAt);
  // A line that is no field belongs to the field before it, as some readers show it so: that can only spoil a signature.
  const fields = found.map((field, i) => ({ ...field, end: found[i + 1]?.start ?? Math.max(field.end, sectionEnd) }));
  const byName = new Map<string, FieldSpan[]>();
  for (const field of fields) {
    const same = byName.get(field.name);
    if (same) same.push(field);
    else byName.set(field.name, [field]);
  }
  return { message, fields, byName, bodyAt };
}

const CR = 0x0d;

/** @returns a field as it stands, its final line end included; one character an octet. */
export function rawField({ message }: HeaderSection, field: FieldSpan): string {
  const text = message.toString('latin1', field.start, field.end);
  return text.endsWith('\n') ? text : `${text}\r\n`;
}

/** @returns what stands after the colon, as it is; one character an octet. */
export function rawValue({ message }: HeaderSection, field: FieldSpan): string {
  return message.toString('latin1', field.value, field.end);
}

/** @returns the value unfolded and trimmed, as UTF-8. */
export function unfolded({ message }: HeaderSection, field: FieldSpan): string {
  return message
    .toString('utf8', field.value, field.end)
    .replace(/[\r\n]+[ \t]*/g, ' ')
    .trim();
}
