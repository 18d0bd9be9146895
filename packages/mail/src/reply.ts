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

const LINE = /^(\d{3})([ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)$/s;

/**
 * Parses what a peer answered, one or more lines (RFC 5321 §4.2.1, RFC 2034 §4). An enhanced status that contradicts
 * the code is taken as text; what is no reply at all becomes code 0.
 */
export function parseReply(raw: string): Reply {
  const texts: string[] = [];
  let code = 0;
  let enhanced: string | undefined;
  for (const line of raw.split(/\r*\n/)) {
    const match = LINE.exec(line);
    if (!match) {
      if (line.trim()) texts.push(line.trim());
      continue;
    }
    code = Number(match[1]);
    const status = match[3];
    const agrees = status?.[0] === line[0];
    if (status && agrees) enhanced = status;
    texts.push((status && !agrees ? `${status} ${match[4] ?? ''}` : (match[4] ?? '')).trim());
  }
  const text = printable(texts.filter(Boolean).join('\n'));
  return { code, ...(enhanced ? { enhanced } : {}), text };
}

/** @returns `code enhanced text` on one line, for logs and diagnostic fields. */
export function formatReply(reply: Reply): string {
  return [reply.code || '', reply.enhanced ?? '', reply.text.replaceAll('\n', ' ')].filter(Boolean).join(' ');
}

/**
 * Replaces control characters (C1 too), so that remote text cannot forge log lines or header fields; at most 1,000
 * characters.
 */
function printable(text: string): string {
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, '?').slice(0, 1000);
}

/** 4yz: try again later (RFC 5321 §4.2.1). */
export const isTransient = (reply: Reply) => reply.code >= 400 && reply.code < 500;
/** 5yz: never try again. */
export const isPermanent = (reply: Reply) => reply.code >= 500 && reply.code < 600;

/** @returns the enhanced status, or the plainest one of the code's class. */
export function statusOf(reply: Reply): string {
  return reply.enhanced ?? (isPermanent(reply) ? '5.0.0' : reply.code >= 200 && reply.code < 300 ? '2.0.0' : '4.0.0');
}

/** The three numbers of an enhanced status (RFC 3463 §2). */
export interface EnhancedStatus {
  /** 2 success, 4 persistent transient, 5 permanent. */
  readonly class: 2 | 4 | 5;
  /**
   * 0 other, 1 address, 2 mailbox, 3 mail system, 4 network and routing, 5 protocol, 6 content, 7 security or policy.
   */
  readonly subject: number;
  readonly detail: number;
}

/** @returns the parts of an enhanced status, or undefined where it is none. */
export function parseEnhanced(status: string): EnhancedStatus | undefined {
  const match = /^([245])\.(\d{1,3})\.(\d{1,3})$/.exec(status);
  if (!match) return undefined;
  return { class: Number(match[1]) as 2 | 4 | 5, subject: Number(match[2]), detail: Number(match[3]) };
}

/**
 * @returns `subject.detail` of a reply's enhanced status, which means the same in every class; undefined where there is
 *   none.
 */
export function conditionOf(reply: Reply): string | undefined {
  return reply.enhanced?.slice(reply.enhanced.indexOf('.') + 1);
}
