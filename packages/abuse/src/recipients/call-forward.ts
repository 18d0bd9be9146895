import { connect, type Socket } from 'node:net';
import type { CallForwardSettings } from '@waypost/config';
import { parseTarget } from '@waypost/config';

/** What the next hop says of a recipient; `unknown` is no answer for now. */
export type Existence = 'exists' | 'missing' | 'unknown';

export interface CallForwardOptions {
  readonly settings: () => CallForwardSettings;
  /** What we call ourselves. */
  readonly hostname: string;
  readonly onAnswer?: (answer: Existence) => void;
}

interface Kept {
  readonly answer: Existence;
  readonly till: number;
}

/** Questions under way at a time; further ones have no answer for now. */
const AT_A_TIME = 50;
const LONGEST_REPLY = 65_536;

/** Asks the next hop whether a recipient exists, by a transaction that ends after RCPT; answers are kept for a while. */
export class CallForward {
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<Existence>>();

  constructor(private readonly options: CallForwardOptions) {}

  /** @returns undefined where nobody is to be asked. */
  ask(recipient: string): Promise<Existence> | undefined {
    const { to } = this.options.settings();
    if (to === undefined) return undefined;
    const key = `${to} ${recipient}`;
    const kept = this.#kept.get(key);
    if (kept && Date.now() < kept.till) return Promise.resolve(kept.answer);
    const under = this.#asking.get(key);
    if (under) return under;
    if (this.#asking.size >= AT_A_TIME) return Promise.resolve('unknown');
    const asking = this.#ask(key, to, recipient).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(key: string, to: string, recipient: string): Promise<Existence> {
    const { timeout, positive_cache, negative_cache, max_entries } = this.options.settings();
    const answer = await dialog(to, recipient, this.options.hostname, timeout).catch((): Existence => 'unknown');
    this.options.onAnswer?.(answer);
    if (answer === 'unknown') return answer;
    this.#kept.delete(key);
    this.#kept.set(key, { answer, till: Date.now() + (answer === 'exists' ? positive_cache : negative_cache) });
    if (this.#kept.size > max_entries) this.#kept.delete(this.#kept.keys().next().value as string);
    return answer;
  }
}

async function dialog(to: string, recipient: string, hostname: string, timeout: number): Promise<Existence> {
  const target = parseTarget(to, '');
  const lmtp = target.kind === 'lmtp' || target.kind === 'lmtp-unix';
  const socket =
    target.kind === 'lmtp-unix'
      ? connect(target.path)
      : target.kind === 'lmtp' || target.kind === 'smtp'
        ? connect(target.port, target.host)
        : undefined;
  if (!socket) return 'unknown';
  const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), timeout);
  try {
    const replies = readReplies(socket);
    const say = async (line?: string) => {
      if (line !== undefined) socket.write(`${line}\r\n`);
      const { value, done } = await replies.next();
      if (done) throw new Error('the connection was closed');
      return value;
    };
    if ((await say()) !== 2) return 'unknown';
    if ((await say(`${lmtp ? 'LHLO' : 'EHLO'} ${hostname}`)) !== 2) return 'unknown';
    if ((await say('MAIL FROM:<>')) !== 2) return 'unknown';
    const said = await say(`RCPT TO:<${recipient}>`);
    socket.end('QUIT\r\n');
    return said === 2 ? 'exists' : said === 5 ? 'missing' : 'unknown';
  } finally {
    clearTimeout(timer);
    socket.destroySoon();
  }
}

/** @returns the class of each reply, 2 to 5. */
async function* readReplies(socket: Socket): AsyncGenerator<number, undefined> {
  let text = '';
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1');
    if (text.length > LONGEST_REPLY) throw new Error('the reply is too long');
    for (let found = REPLY.exec(text); found; found = REPLY.exec(text)) {
      text = text.slice(found[0].length);
      yield Number(found[1]);
    }
  }
  return undefined;
}

const REPLY = /^(?:\d{3}-[^\r\n]*\r?\n)*(\d)\d\d(?: [^\r\n]*)?\r?\n/;
