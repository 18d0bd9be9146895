import { isIP } from 'node:net';
import { fromOctets } from '../names.js';
import { isAskable, type Records, type Resolve } from '../resolve.js';

/** Results as RFC 7208 §2.6 names them. */
export type SpfResult = 'none' | 'neutral' | 'pass' | 'fail' | 'softfail' | 'temperror' | 'permerror';

export interface SpfInput {
  /** The client's address. */
  readonly ip: string;
  /** What it calls itself. */
  readonly helo: string;
  /** The reverse-path without angle brackets; empty for the null one, of which the HELO name is checked (§2.4). */
  readonly sender: string;
  readonly resolve: Resolve;
  /** Our name, which explanations may tell. */
  readonly receiver?: string;
  /** Milliseconds all lookups may take together; 20 s unless said (§4.6.4). */
  readonly timeout?: number;
}

export interface SpfFinding {
  readonly result: SpfResult;
  /** Which name was checked. */
  readonly identity: 'mailfrom' | 'helo';
  /** Its domain, in lower case. */
  readonly domain: string;
  /** What the domain's owner says of the failure (exp=): a stranger's text. */
  readonly explanation?: string | undefined;
  /** Why there was an error. */
  readonly reason?: string | undefined;
}

const TIMEOUT = 20_000;
const RESULTS: readonly string[] = ['none', 'neutral', 'pass', 'fail', 'softfail', 'temperror', 'permerror'];
const LONGEST_EXPLANATION = 200;

/**
 * Whether a host may send mail of a sender (RFC 7208): at MAIL time or later. mailauth evaluates, in its strict mode, which
 * keeps to the RFC where the other is lenient. Never throws.
 */
export async function checkSpf({ ip, helo, sender, resolve, receiver, timeout }: SpfInput): Promise<SpfFinding> {
  const identity = sender === '' ? ('helo' as const) : ('mailfrom' as const);
  const name = identity === 'helo' ? helo : sender.slice(sender.lastIndexOf('@') + 1);
  const domain = name.toLowerCase();
  if (isIP(ip) === 0) return { result: 'none', identity, domain, reason: 'the client has no address' };
  try {
    // It takes 30 MB and a tenth of a second to load: processes that see no mail from outside are spared it.
    const { spf } = await import('mailauth/lib/spf/index.js');
    const { status, explanation } = await spf({
      ip,
      // A bare address is no name; in brackets it is plain that it is none.
      helo: isIP(helo) === 0 ? helo : `[${helo}]`,
      sender,
      mta: receiver ?? 'unknown',
      strict: true,
      maxElapsedTime: timeout ?? TIMEOUT,
      resolver: (asked: string, kind: string) => answer(resolve, asked, kind),
    });
    const result = (RESULTS.includes(status.result) ? status.result : 'temperror') as SpfResult;
    const reason = /error$/.test(result) ? commentOf(status.comment) : undefined;
    return {
      result,
      identity,
      domain,
      ...(explanation ? { explanation: shown(explanation) } : {}),
      ...(reason ? { reason } : {}),
    };
  } catch (error) {
    return { result: 'temperror', identity, domain, reason: shown((error as Error).message) };
  }
}

/** mailauth's resolver is that of Node: TXT records are lists of strings. */
async function answer(resolve: Resolve, name: string, kind: string): Promise<string[] | string[][]> {
  if (!isAskable(name)) throw Object.assign(new Error('no name of DNS'), { code: 'ENOTFOUND' });
  const records = await resolve(name, kind as keyof Records);
  // Its types know texts only; MX records are objects all the same.
  return (kind === 'TXT' ? records.map((text) => [text]) : [...records]) as string[][];
}

/** What mailauth says of an error, without the receiver's name before it and the sender's in it. */
const commentOf = (comment: unknown) =>
  typeof comment === 'string' ? shown(fromOctets(comment.replace(/^.*?: .*? of [^:]*(?:: )?/, ''))) : undefined;

/** Printable ASCII on one line. */
const shown = (text: string) =>
  text
    .slice(0, LONGEST_EXPLANATION * 4)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, LONGEST_EXPLANATION);
