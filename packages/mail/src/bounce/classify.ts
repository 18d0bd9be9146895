import { type BounceCause, isHardCause } from './cause.js';
import { TEXT_RULES } from './texts.js';

/** What is known of a refusal; a live reply and a line of a DSN alike. */
export interface BounceFacts {
  readonly code?: number | undefined;
  /** RFC 3463. */
  readonly enhanced?: string | undefined;
  readonly text: string;
  /** The last command that was answered, where it is known. */
  readonly phase?: 'connect' | 'ehlo' | 'mail' | 'rcpt' | 'data' | undefined;
}

export interface BounceVerdict {
  readonly cause: BounceCause;
  /** The address itself will not work: do not write to it again. */
  readonly hard: boolean;
}

/** Longer texts say no more, and patterns need not see them. */
const TEXT_MAX = 4_000;

/** @returns why a recipient's mail was refused: by the words, then by the enhanced status, then by code and phase. */
export function classifyBounce(facts: BounceFacts): BounceVerdict {
  const cause = causeOf(facts);
  // A host that says "for now" is believed: it may know the address again later.
  const temporary = facts.enhanced ? facts.enhanced.startsWith('4') : (facts.code ?? 500) < 500;
  return { cause, hard: isHardCause(cause) && !temporary };
}

function causeOf(facts: BounceFacts): BounceCause {
  const text = normalise(facts.text);
  const said = TEXT_RULES.find(({ text: wanted, not }) => wanted.test(text) && !not?.test(text))?.cause;
  const byStatus = ofStatus(facts.enhanced);
  const cause = said ?? byStatus ?? ofReply(facts);
  // Servers that learn of the recipient only with the message answer for its owner's filter, not for the address.
  // Nobody says which command it was, nor a status: it may as well be a filter that answers so.
  const unsure = facts.phase === undefined && /^(?:|5\.0\.0)$/.test(facts.enhanced ?? '') && UNSURE.test(text);
  if (cause === 'user_unknown' && unsure) return 'filtered';
  const sure = /^[45]\.1\.[13]$/.test(facts.enhanced ?? '') || SURE.test(text);
  if (cause === 'user_unknown' && facts.phase === 'data' && !sure) return 'filtered';
  if (cause === 'user_unknown' && said && facts.phase !== 'rcpt' && /^5\.[27]\./.test(facts.enhanced ?? ''))
    return 'filtered';
  if (cause === 'filtered' && !said && byStatus === 'user_unknown') return 'user_unknown';
  if (facts.enhanced && CERTAIN[facts.enhanced]) return CERTAIN[facts.enhanced] as BounceCause;
  return cause;
}

/** Lower case, without addresses and links, whose words would mislead. */
function normalise(text: string): string {
  return (
    text
      .slice(0, TEXT_MAX)
      .toLowerCase()
      .replace(/https?:\/\/([^\s/?#]+)\S*/g, (url, host: string) => (TELLING.test(url) ? ` ${host} ` : ' '))
      // Codes at the beginning of each line of a reply stand in the middle of its sentences.
      .replace(/(?<=^|\s)[45]\d\d[- ](?:[45]\.\d+\.\d+ )?/g, ' ')
      .replace(/<?[^\s<>@]{1,64}@[a-z0-9.-]{1,255}>?/g, '@')
      // Dots in names of hosts would end sentences.
      .replace(
        /\b[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.(?:[a-z]{2,4}|info|local|localdomain|example|invalid)\b\.?/g,
        (host) => (TELLING.test(host) ? host : 'x'),
      )
      .replace(/[’`´]/g, "'")
      .replace(/\s+/g, ' ')
  );
}

/** Said only by who has looked. */
const SURE = /this user (?:doesn't|does not) have an? \S+ account/;

/** What filters answer too. */
const UNSURE =
  /(?:user|account) (?:is )?(?:unknown|not exist)|unknown user|mailbox unavailable|this user (?:doesn't|does not) have an? \S+ account/;

/** Links that say what the text around them does not. */
const TELLING = /spamhaus|spamcop|uribl|surbl|barracuda|sorbs|abuseat|groups\.google|6596/;

/** Statuses that mean one thing whatever the words are. */
const CERTAIN: Readonly<Record<string, BounceCause>> = {
  '5.1.6': 'has_moved',
  '5.2.3': 'limit_exceeded',
  '5.7.13': 'suspended',
  '5.7.25': 'reverse_dns',
  '5.7.27': 'not_accept',
};

/** RFC 3463 §3 and the IANA registry of enhanced status codes; subject and detail alone, as senders mix the classes. */
const STATUSES: Readonly<Record<string, BounceCause>> = {
  '1.1': 'user_unknown',
  '1.2': 'host_unknown',
  '1.3': 'user_unknown',
  '1.4': 'filtered',
  '1.6': 'has_moved',
  '1.7': 'sender_rejected',
  '1.8': 'sender_rejected',
  '1.9': 'system_error',
  '1.10': 'not_accept',
  '2.0': 'filtered',
  '2.1': 'suspended',
  '2.2': 'mailbox_full',
  '2.3': 'limit_exceeded',
  '2.4': 'filtered',
  '3.0': 'system_error',
  '3.1': 'system_full',
  '3.2': 'not_accept',
  '3.3': 'system_error',
  '3.4': 'message_too_big',
  '3.5': 'system_error',
  '4.0': 'network_error',
  '4.1': 'expired',
  '4.2': 'expired',
  '4.3': 'system_error',
  '4.4': 'host_unknown',
  '4.5': 'network_error',
  '4.6': 'network_error',
  '4.7': 'expired',
  '5.1': 'syntax_error',
  '5.2': 'syntax_error',
  '5.3': 'too_many_connections',
  '5.4': 'syntax_error',
  '5.5': 'syntax_error',
  '6.0': 'content_error',
  '6.1': 'content_error',
  '6.2': 'content_error',
  '6.3': 'content_error',
  '6.5': 'content_error',
  '7.0': 'security',
  '7.1': 'policy',
  '7.2': 'filtered',
  '7.4': 'security',
  '7.5': 'security',
  '7.6': 'security',
  '7.7': 'security',
  '7.8': 'security',
  '7.9': 'security',
  '7.20': 'auth_failure',
  '7.21': 'auth_failure',
  '7.22': 'auth_failure',
  '7.23': 'auth_failure',
  '7.24': 'auth_failure',
  '7.26': 'auth_failure',
  '7.28': 'rate_limited',
  '7.29': 'auth_failure',
};

function ofStatus(enhanced: string | undefined): BounceCause | undefined {
  const [, detail] = /^[245]\.(\d+\.\d+)$/.exec(enhanced ?? '') ?? [];
  return detail === undefined ? undefined : STATUSES[detail];
}

function ofReply({ code, phase, text }: BounceFacts): BounceCause {
  if (code === 421 || code === 450 || code === 451) return 'system_error';
  if (code === 452 || code === 552) return 'mailbox_full';
  if (code === 521 || code === 556) return 'not_accept';
  if (phase === 'mail') return 'sender_rejected';
  if (phase === 'data') return 'filtered';
  if (phase === 'rcpt' && (code === 550 || code === 551)) return 'user_unknown';
  if (code !== undefined && code >= 500 && code <= 504) return 'syntax_error';
  return text.trim() === '' && code === undefined ? 'undefined' : 'on_hold';
}
