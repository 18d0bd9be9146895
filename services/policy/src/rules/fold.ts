import type { MessageMeta } from '@waypost/mail';
import type { Findings } from '../findings.js';

/** Octets of a line, its end excluded, that no reader minds (RFC 5322 §2.1.1). */
const LINE = 78;

/** @returns a header field folded at blanks, without CRLF at its end. */
export function headerField(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(/[ \t]+/)) {
    if (line.length + 1 + word.length > LINE && line !== `${name}:`) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\r\n');
}

/** @returns a value with what stands in braces filled in; nothing from outside can end the line. */
export function filledIn(value: string, { id, origin }: MessageMeta, { score, symbols }: Findings): string {
  const known: Record<string, () => string> = {
    id: () => id,
    score: () => score.toFixed(2),
    symbols: () => symbols.map(({ name, score: one }) => `${name}(${one.toFixed(2)})`).join(' '),
    tenant: () => origin.tenant ?? '',
    listener: () => origin.listener,
    remote: () => origin.remoteAddress ?? '',
  };
  return value.replace(/\{(\w+)\}/g, (whole, name: string) => known[name]?.().replace(/[^\x20-\x7e]/g, '?') ?? whole);
}
