import { fieldValue, headerFields } from '@waypost/mail';

const NAME = /^(?:([^\s"();]+)|"([^"\\]*)")(?:\s+\d+)?$/;

/**
 * Gathers what our own checks wrote down, for the seal: the results of all Authentication-Results fields that bear our name
 * (RFC 8617 §4.1.1). Forged ones must have been taken out before.
 * @param authserv the name by which our fields are known; compared whatever its case.
 * @returns name and results as one value; undefined where there is no such field.
 */
export function ownResults(header: Buffer, authserv: string): string | undefined {
  const found: string[] = [];
  for (const field of headerFields(header, header.length)) {
    if (field.name !== 'authentication-results') continue;
    const value = fieldValue(header, field);
    const at = value.indexOf(';');
    // The name may be quoted, and a version may stand after it (RFC 8601 §2.2). A quote that does not end here is none of ours.
    const [, token, quoted] = NAME.exec(value.slice(0, Math.max(at, 0)).trim()) ?? [];
    if ((token ?? quoted)?.toLowerCase() !== authserv.toLowerCase()) continue;
    found.push(
      value
        .slice(at + 1)
        .trim()
        .replace(/;$/, ''),
    );
  }
  return found.length === 0 ? undefined : [authserv, ...found].join(';\r\n\t');
}
