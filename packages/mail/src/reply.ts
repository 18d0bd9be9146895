/** An SMTP reply: 3-digit code, enhanced status and public text (RFC 5321 §4.2, RFC 3463). */
export interface Reply {
  readonly code: number;
  /** `class.subject.detail`, without the code; absent where the peer sent none. */
  readonly enhanced?: string;
  /** Text after code and enhanced status; lines joined by `\n`. */
  readonly text: string;
}

/**
 * A refusal that the peer may see (`reply`) apart from its private cause. Anything thrown that is not an
 * SmtpError is answered as a temporary failure (`451 4.3.0`), never as a lost message.
 */
export class SmtpError extends Error {
  readonly reply: Reply;
  constructor(code: number, enhanced: string, text: string, options?: { cause?: unknown }) {
    super(`${code} ${enhanced} ${text}`, options);
    this.name = 'SmtpError';
    this.reply = { code, enhanced, text };
  }
}

const LINE = /^(\d{3})([ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)$/;

/**
 * Parses what a peer answered, one or more lines (RFC 5321 §4.2.1, RFC 2034 §4). An enhanced status that contradicts the
 * code is taken as text; what is no reply at all becomes code 0.
 */
export function parseReply(raw: string): Reply {
  const texts: string[] = [];
  let code = 0;
  let enhanced: string | undefined;
  for (const line of raw.split(/\r?\n/)) {
    const match = LINE.exec(line);
    if (!match) {
      if (line.trim()) texts.push(line.trim());
      continue;
    }
    code = Number(match[1]);
    const status = match[3];
    if (status && status[0] === line[0]) enhanced = status;
    else if (status) texts.push(status);
    if (match[4]) texts.push(match[4].trim());
  }
  const text = printable(texts.filter(Boolean).join('\n'));
  return { code, ...(enhanced ? { enhanced } : {}), text };
}

/** @returns `code enhanced text` on one line, for logs and diagnostic fields. */
export function formatReply(reply: Reply): string {
  return [reply.code || '', reply.enhanced ?? '', reply.text.replaceAll('\n', ' ')].filter(Boolean).join(' ');
}

/** Replaces control characters, so that remote text cannot forge log lines or header fields; at most 1,000 characters. */
function printable(text: string): string {
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f]/g, '?').slice(0, 1000);
}

/** 4yz: try again later (RFC 5321 §4.2.1). */
export const isTransient = (reply: Reply) => reply.code >= 400 && reply.code < 500;
/** 5yz: never try again. */
export const isPermanent = (reply: Reply) => reply.code >= 500 && reply.code < 600;

/** @returns the enhanced status, or the plainest one of the code's class. */
export function statusOf(reply: Reply): string {
  return reply.enhanced ?? (isPermanent(reply) ? '5.0.0' : reply.code >= 200 && reply.code < 300 ? '2.0.0' : '4.0.0');
}
