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
