import type { Answer, Phase } from '@waypost/testkit';

/** A moment at which a provider answers. */
export interface Moment {
  readonly phase: Phase;
  readonly line: string;
  /** Of the client. */
  readonly address: string;
  /** Part of the day that has passed, from 0. */
  readonly at: number;
  /** Connections that the provider has open, this one included. */
  readonly open: number;
}

/** A mailbox provider. */
export interface Provider {
  /** Its domains end in this and `.test`. */
  readonly name: string;
  readonly address: string;
  /** What the names of its MX hosts end in. */
  readonly hosts: string;
  mx(domain: string): string;
  /** @returns what it answers; undefined for the usual. */
  answer(moment: Moment): Answer | Promise<Answer>;
}

export const SOURCES = ['127.0.0.5', '127.0.0.6'] as const;
const SECOND = 1000;
const after = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value));
const chance = (part: number) => Math.random() < part;
/** Recipients that were greylisted, and when, ms. */
const seen = new Map<string, number>();
const lately: number[] = [];

/** The texts are in the manner of what such providers say, and fit the rules that Waypost ships. */
export const PROVIDERS: readonly Provider[] = [
  {
    name: 'plain',
    address: '127.0.5.1',
    hosts: 'plain.example',
    mx: () => 'mx.plain.example',
    answer: () => undefined,
  },
  {
    // Takes five messages a second, and says so to those that come over it.
    name: 'rate',
    address: '127.0.5.2',
    hosts: 'l.google.com',
    mx: () => 'aspmx.l.google.com',
    answer: ({ phase }) => {
      if (phase !== 'mail') return undefined;
      const now = Date.now();
      while (lately.length > 0 && now - (lately[0] ?? 0) > SECOND) lately.shift();
      lately.push(now);
      return lately.length > 5
        ? '421 4.7.28 Our system has detected an unusual rate of mail from your IP address'
        : undefined;
    },
  },
  {
    // Wants few connections, greylists, and puts some off.
    name: 'picky',
    address: '127.0.5.3',
    hosts: 'yahoodns.net',
    mx: () => 'mta5.am0.yahoodns.net',
    answer: async ({ phase, line, open }) => {
      if (phase === 'greeting' && open > 2) return '421 4.7.0 too many connections from your host';
      if (phase === 'mail' && chance(0.05)) return '421 4.7.0 [TSS04] Messages temporarily deferred due to complaints';
      if (phase === 'rcpt') {
        await after(300, undefined);
        const first = seen.get(line) ?? Date.now();
        seen.set(line, first);
        if (Date.now() - first < 10 * SECOND) return '451 4.7.1 Greylisted, please try again later';
      }
      return phase === 'rcpt' && chance(0.02) ? '550 5.1.1 no such user here' : undefined;
    },
  },
  {
    // Blocks one source for a sixth of the day, both for a twentieth, and one at its greeting.
    name: 'block',
    address: '127.0.5.4',
    hosts: 'olc.protection.outlook.com',
    mx: () => 'block-test.olc.protection.outlook.com',
    answer: ({ phase, address, at }) => {
      const first = address === SOURCES[0];
      if (phase === 'mail' && ((first && at > 0.15 && at < 0.32) || (at > 0.45 && at < 0.5)))
        return `451 4.7.650 The mail server [${address}] has been temporarily rate limited due to IP reputation (S775)`;
      if (phase === 'greeting' && first && at > 0.65 && at < 0.75)
        return `554 5.7.1 Service unavailable; client host [${address}] is on a block list`;
      return undefined;
    },
  },
  {
    // Slow at everything, and silent now and then.
    name: 'slow',
    address: '127.0.5.5',
    hosts: 'slow.example',
    mx: () => 'mx.slow.example',
    answer: ({ phase }) =>
      phase === 'dot' && chance(0.02) ? 'hang' : after(Math.random() * (phase === 'dot' ? 15 : 2) * SECOND, undefined),
  },
  {
    // Cuts connections: before DATA, after the final dot, and in quiet moments.
    name: 'drop',
    address: '127.0.5.6',
    hosts: 'drop.example',
    mx: () => 'mx.drop.example',
    answer: ({ phase }) => {
      if ((phase === 'data' || phase === 'dot') && chance(0.08)) return 'drop';
      return phase === 'greeting' && chance(0.1) ? 'drop' : undefined;
    },
  },
];
