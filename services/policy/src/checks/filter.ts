import { isDeepStrictEqual } from 'node:util';
import type { Config, MailKind } from '@waypost/config';
import { type FilterMessage, FilterRefused, FilterUnavailable, type GuardObserver } from '@waypost/filters';
import { parseReply, type Reply } from '@waypost/mail';
import type { Metrics, Runtime } from '@waypost/runtime';
import { type CheckContext, PASS, type Verdict } from '../check.js';

export interface FilterDeps {
  readonly config: () => Config;
  readonly runtime: Pick<Runtime, 'metrics' | 'log'>;
}

/**
 * Keeps what is made of settings until they change, so that a reload takes effect and an unchanged part keeps its
 * connections and what it knows of the other side.
 */
export function following<S, T>(
  settings: () => S,
  make: (settings: S) => T,
  close: (made: T) => void = () => {},
): () => T {
  let current: { settings: S; readonly made: T } | undefined;
  return () => {
    const now = settings();
    if (current && current.settings === now) return current.made;
    if (current && isDeepStrictEqual(now, current.settings)) {
      current.settings = now;
      return current.made;
    }
    if (current) close(current.made);
    current = { settings: now, made: make(now) };
    return current.made;
  };
}

const STATES = { closed: 0, 'half-open': 1, open: 2 } as const;

/** @returns what puts a filter's calls into the metrics. */
export function observe(filter: string, metrics: Metrics): GuardObserver {
  return {
    called: (result, seconds) => {
      metrics.filterCalls.inc({ filter, result });
      metrics.filterSeconds.observe({ filter }, seconds);
    },
    state: (state) => metrics.filterBreaker.set({ filter }, STATES[state]),
  };
}

/** What calls of every filter have in common, as the configuration has it. */
export interface FilterSettings {
  readonly kinds: readonly MailKind[];
  readonly on_failure: 'defer' | 'pass' | 'hold';
  readonly timeout: number;
  readonly concurrency: number;
  readonly failures: number;
  readonly cool_down: number;
  readonly max_size: number;
}

export const guardOf = ({ timeout, concurrency, failures, cool_down }: FilterSettings) => ({
  timeout,
  concurrency,
  failures,
  coolDown: cool_down,
});

/** @returns whether mail that came in so is for this filter; what we write ourselves is for none. */
export const concerns = ({ meta }: CheckContext, { kinds }: Pick<FilterSettings, 'kinds'>) =>
  (kinds as readonly string[]).includes(meta.origin.kind);

/** What a filter is told of a message. */
export function describeMessage(context: CheckContext): FilterMessage {
  const { meta, open } = context;
  const { remoteAddress, helo, credential, tls } = meta.origin;
  return {
    id: meta.id,
    size: meta.body.size,
    sender: meta.envelope.sender,
    recipients: open.map(({ recipient }) => recipient.address),
    ...(remoteAddress ? { remoteAddress } : {}),
    ...(helo ? { helo } : {}),
    ...(credential ? { user: credential } : {}),
    ...(tls ? { tls } : {}),
    body: async () => {
      const message = await context.message();
      return message.length >= meta.body.size ? message : context.body();
    },
  };
}

/**
 * Asks a filter, and does what is said for when it is down.
 * @param name in lower case; symbols are named after it.
 * @param ask makes the verdict of its answer.
 * @param refused what becomes of messages that it does not take; they go on unless said.
 */
export async function consult(
  context: CheckContext,
  name: string,
  settings: FilterSettings,
  ask: (message: FilterMessage) => Promise<Verdict>,
  refused: (reason: string) => Verdict = () => PASS,
): Promise<Verdict> {
  const symbol = name.toUpperCase().replaceAll('-', '_');
  try {
    return await ask(describeMessage(context));
  } catch (error) {
    if (error instanceof FilterRefused) {
      context.symbol(`${symbol}_SKIPPED`, 0, `Not looked at by ${name}: ${error.message}`);
      return refused(error.message);
    }
    if (!(error instanceof FilterUnavailable)) throw error;
    context.symbol(`${symbol}_DOWN`, 0, error.message);
    if (settings.on_failure === 'pass') return PASS;
    return { kind: settings.on_failure, reason: error.message };
  }
}

/** @returns a refusal in a filter's words, where they are a reply, or with its words as text. */
export function refusal(words: string | undefined, text: string): Extract<Verdict, { kind: 'reject' }> {
  const said = parseReply(words ?? '');
  const usable = said.code >= 500 && said.code <= 599;
  const reply: Reply = {
    code: usable ? said.code : 554,
    enhanced: usable && said.enhanced ? said.enhanced : '5.7.1',
    text: plain(said.text || text),
  };
  return { kind: 'reject', reply };
}

/** Words of strangers as they may stand in a reply: one line of ASCII. */
export const plain = (text: string) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?')
    .trim()
    .slice(0, 400);

/** @returns a header field of a filter's words, folded where they have line ends; nothing that could be another field. */
export function fieldOf(name: string, value: string): string {
  const lines = value
    .split(/\r\n|\r|\n/)
    .map((line) => line.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, '').trim())
    .filter((line) => line !== '');
  // What is cut off must not leave a line end, after which the field would be followed by an empty line.
  return `${name}: ${lines.join('\r\n\t')}`.slice(0, FIELD).replace(/[\r\n\t]{1,3}$/, '');
}

/** Octets of one field at most; far more than any filter needs. */
const FIELD = 16_384;
