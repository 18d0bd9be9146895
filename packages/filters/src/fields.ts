import { headerEnd } from '@waypost/mail';

/** A header field as milters see it: unfolded not, its lines ended by LF (libmilter's xxfi_header). */
export interface PlainField {
  readonly name: string;
  readonly value: string;
}

/**
 * @param leadingSpace the blank after the colon is part of the value; else one is taken off.
 * @returns the header section's fields, and where the body begins.
 */
export function fieldsIn(message: Buffer, leadingSpace: boolean): { fields: PlainField[]; bodyAt: number } {
  const end = headerEnd(message);
  const bodyAt = end < 0 ? message.length : end;
  const text = message.toString('utf8', 0, bodyAt).replaceAll('\r\n', '\n');
  const fields: PlainField[] = [];
  for (const field of text.split(/\n(?![ \t])/)) {
    const colon = field.indexOf(':');
    if (colon < 1) continue;
    const value = field.slice(colon + 1);
    fields.push({ name: field.slice(0, colon).trimEnd(), value: leadingSpace ? value : value.replace(/^ /, '') });
  }
  return { fields, bodyAt };
}
