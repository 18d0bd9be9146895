import { formatDate } from '@waypost/mail';
import type { Report } from './report.js';

export interface Addressing {
  readonly from: string;
  readonly to: string;
  /** Of the host that reports. */
  readonly hostname: string;
  /** Our id for the mail. */
  readonly id: string;
  /** ms since the epoch. */
  readonly date: number;
}

/**
 * Writes the mail that carries a report: a text for people and the file (RFC 8460 §5.3, RFC 7489 §7.2.1.1).
 * @returns the whole message, 7-bit, with CRLF.
 */
export function composeReport(report: Report, { from, to, hostname, id, date }: Addressing): Buffer {
  const { subject, headers = [], reportType, text, file, tlsOptional } = report;
  const boundary = `=_${id}`;
  const type = reportType === undefined ? 'multipart/mixed' : `multipart/report; report-type="${reportType}"`;
  const fields: readonly (readonly [string, string])[] = [
    ['From', from],
    ['To', to],
    ['Subject', subject],
    ['Date', formatDate(date)],
    ['Message-ID', `<${id}@${hostname}>`],
    ['Auto-Submitted', 'auto-generated'],
    ...headers,
    ...(tlsOptional ? [['TLS-Required', 'No'] as const] : []),
    ['MIME-Version', '1.0'],
    ['Content-Type', `${type};\r\n\tboundary="${boundary}"`],
  ];
  const unsafe = fields.find(([name, value]) => /[^\x20-\x7e\t]/.test(value.replace(/\r\n[ \t]/g, '')) && name !== '');
  if (unsafe) throw new Error(`the field ${unsafe[0]} of a report is not ASCII`);
  const lines = [
    ...fields.map(([name, value]) => fold(`${name}: ${value}`)),
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    inLines(Buffer.from(text.replace(/\r?\n/g, '\r\n'))),
    `--${boundary}`,
    `Content-Type: ${file.type}`,
    'Content-Transfer-Encoding: base64',
    `Content-Disposition: attachment;\r\n\tfilename="${file.name}"`,
    '',
    inLines(file.content),
    `--${boundary}--`,
    '',
  ];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

const inLines = (content: Buffer) => content.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n');

/** Breaks a field at spaces into lines of 78 characters where it can (RFC 5322 §2.1.1). */
function fold(field: string): string {
  if (field.includes('\r\n')) return field;
  const lines: string[] = [];
  let line = '';
  for (const word of field.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > 78) {
      lines.push(line);
      line = ` ${word}`;
    } else line = line === '' && lines.length === 0 ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\r\n');
}
