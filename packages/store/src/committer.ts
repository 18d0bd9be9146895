import { type Judgement, type MessageEvent, type MessageMeta, SmtpError } from '@waypost/mail';
import type { PolicyQueue } from '@waypost/queue';
import { type Command, type Executor, RedisRefusedError } from '@waypost/redis';
import { bodyKey, type Draft, inlineCommands } from '@waypost/spool';
import { publishEvents } from './events.js';
import { eventField, recordKey, variantText } from './record.js';
import { createOnceScript } from './scripts/create-once.js';

/** A message that is complete but not yet ours to keep. */
export interface Arrival {
  readonly meta: MessageMeta;
  readonly draft: Draft;
  /** How far policy is with it, where it was judged already; and the bodies that policy made of it. */
  readonly judgement?: Judgement | undefined;
  readonly variants?: readonly Draft[] | undefined;
}

interface Waiting {
  readonly arrivals: readonly Arrival[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface CommitterHooks {
  /** After each transaction: messages in it and how long it took. */
  readonly onCommit?: (messages: number, milliseconds: number) => void;
  /** For each message once it is durable. */
  readonly onReception?: (event: MessageEvent) => void;
}

/** Messages in one policy job; more arrivals make several jobs of the same transaction. */
const MESSAGES_PER_JOB = 32;

/**
 * The commit point. Body, record, event and policy job go into one transaction; what arrives while one is on its way
 * goes together into the next, and shares one policy job. When `commit` resolves, the message may be answered 250.
 */
export class Committer {
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(
    private readonly executor: Executor,
    private readonly policy: PolicyQueue,
    private readonly hooks: CommitterHooks = {},
  ) {}

  /**
   * Makes a message durable.
   * @throws SmtpError 452 4.3.1 where Redis has no room, 451 4.3.0 for all else: nothing may be answered 250 then.
   */
  commit(meta: MessageMeta, draft: Draft, judged: Pick<Arrival, 'judgement' | 'variants'> = {}): Promise<void> {
    return this.commitMany([{ meta, draft, ...judged }]);
  }

  /** The same for several messages, all or none. */
  commitMany(arrivals: readonly Arrival[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ arrivals, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      setImmediate(() => void this.#drain());
    });
  }

  /**
   * @param options.once the transaction may be run again: a message that is on record by then is left as it is, however far it
   *   has come meanwhile.
   * @returns the commands that commit these messages as part of a caller's own transaction.
   */
  commands(arrivals: readonly Arrival[], options: { once?: boolean } = {}): Command[] {
    const commands: Command[] = [];
    const events: MessageEvent[] = [];
    const now: string[] = [];
    for (const { meta, draft, judgement, variants = [] } of arrivals) {
      const event = reception(meta);
      events.push(event);
      if (options.once) commands.push(createOnce(meta, draft, event));
      else commands.push(...inlineCommands(draft), createRecord(meta, event, judgedFields(judgement, variants)));
      commands.push(...variants.flatMap(inlineCommands));
      if (meta.scheduledAt === undefined) now.push(meta.id);
      else commands.push(...this.policy.add([meta.id], { at: meta.scheduledAt }));
    }
    commands.push(...publishEvents(events));
    for (let at = 0; at < now.length; at += MESSAGES_PER_JOB) {
      commands.push(...this.policy.add(now.slice(at, at + MESSAGES_PER_JOB)));
    }
    return commands;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      await this.#commitGroup(group);
    }
    this.#busy = false;
  }

  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const started = performance.now();
    const arrivals = group.flatMap((waiting) => waiting.arrivals);
    try {
      await this.executor.exec(this.commands(arrivals), { refusable: true });
      this.hooks.onCommit?.(arrivals.length, performance.now() - started);
      if (this.hooks.onReception) for (const { meta } of arrivals) this.hooks.onReception(reception(meta));
      for (const waiting of group) waiting.resolve();
    } catch (error) {
      const refusal = toRefusal(error);
      for (const waiting of group) waiting.reject(refusal);
    }
  }
}

function reception(meta: MessageMeta): MessageEvent {
  const { id, receivedAt: at, origin, traceparent, body, envelope } = meta;
  const from = `${origin.protocol} from ${origin.remoteAddress ?? 'here'}`;
  const detail = `${from}, ${body.size} octets, recipients: ${envelope.recipients.length}`;
  return { type: 'Reception', id, at, detail, ...(traceparent ? { traceparent } : {}) };
}

const createRecord = (meta: MessageMeta, event: MessageEvent, more: readonly string[]): Command => ({
  name: 'hset',
  args: [recordKey(meta.id), ...recordFields(meta, event), ...more],
});

const judgedFields = (judgement: Judgement | undefined, variants: readonly Draft[]) => [
  ...(judgement ? ['judged', JSON.stringify(judgement)] : []),
  ...(variants.length > 0 ? ['v', variants.map(({ ref }) => variantText(ref)).join(' ')] : []),
];

function createOnce(meta: MessageMeta, { inline }: Draft, event: MessageEvent): Command {
  const args = [recordKey(meta.id), bodyKey(meta.id), inline ?? '', ...recordFields(meta, event)];
  return { name: createOnceScript.name, script: createOnceScript, args };
}

const recordFields = (meta: MessageMeta, event: MessageEvent) => [
  ...['m', JSON.stringify(meta)],
  ...['stage', meta.scheduledAt === undefined ? 'accepted' : 'scheduled'],
  ...['open', meta.envelope.recipients.length],
  ...[eventField(event), JSON.stringify(event)],
];

function toRefusal(error: unknown): SmtpError {
  if (error instanceof RedisRefusedError && error.message.startsWith('OOM')) {
    return new SmtpError(452, '4.3.1', 'Insufficient system storage, try again later', { cause: error });
  }
  return new SmtpError(451, '4.3.0', 'Message could not be stored, try again later', { cause: error });
}
