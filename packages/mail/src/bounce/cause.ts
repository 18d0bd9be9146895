/** Why mail to a recipient was refused or given up, in the terms that mailbox providers and bounce processors use. */
export const BOUNCE_CAUSES = [
  /** No such mailbox. */
  'user_unknown',
  /** The domain does not exist or has no mail host. */
  'host_unknown',
  /** The mailbox has moved or was replaced. */
  'has_moved',
  /** The domain takes no mail at all (null MX and the like). */
  'not_accept',
  'mailbox_full',
  /** The mailbox exists and is switched off for now. */
  'suspended',
  /** Refused by the recipient's own rules, or unknown only after the message was seen. */
  'filtered',
  /** More than the recipient may get: size or number for one mailbox. */
  'limit_exceeded',
  'message_too_big',
  'virus',
  'spam',
  /** SPF, DKIM or DMARC failed. */
  'auth_failure',
  /** The sending address has no fitting reverse DNS. */
  'reverse_dns',
  /** The sending address or host is listed or banned. */
  'blocked',
  'bad_reputation',
  /** Sent too much in too short a time. */
  'rate_limited',
  'too_many_connections',
  /** The envelope sender was refused. */
  'sender_rejected',
  'no_relaying',
  'policy',
  /** TLS, login or another matter of security. */
  'security',
  /** Against RFC 5321 or 5322, as by a missing or doubled header field. */
  'not_compliant',
  'content_error',
  'syntax_error',
  /** Not delivered in time. */
  'expired',
  'network_error',
  /** Full disk on the remote side. */
  'system_full',
  'system_error',
  /** The program that was to deliver failed. */
  'mailer_error',
  /** There is a refusal, and nothing tells why. */
  'on_hold',
  'undefined',
  /** No refusal: it was delivered. */
  'delivered',
  /** No refusal: the recipient complained of it, or his program answered. */
  'feedback',
  'vacation',
] as const;

export type BounceCause = (typeof BOUNCE_CAUSES)[number];

/** The address will not work however often it is tried: it is not to be written to again. */
const HARD: ReadonlySet<BounceCause> = new Set(['user_unknown', 'host_unknown', 'has_moved', 'not_accept']);

export const isHardCause = (cause: BounceCause): boolean => HARD.has(cause);
