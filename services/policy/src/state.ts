import { isTerminal, type MessageRecord, type Recipient, type Reply } from '@waypost/mail';
import type { CheckContext, OpenRecipient, Rejection, Via } from './check.js';
import { Collected } from './findings.js';
import { Form, type Source } from './form.js';

/** How a recipient may end in policy. */
export type Refused = 'rejected' | 'suppressed' | 'expired';

export interface Refusal {
  readonly i: number;
  readonly reply: Reply;
  readonly state: Refused;
}

export interface ContextParts extends Pick<CheckContext, 'suppressed' | 'dry'>, Source {
  /** Scores of symbols in place of what checks give them. */
  scores(): Readonly<Record<string, number>>;
}

/** Recipients that rules may add to a message. */
const MOST_ADDED = 20;

/** How an evaluation stands: who is left, and what leaves for whom. */
export class EvaluationState {
  open: OpenRecipient[];
  forms: Form[];
  readonly refused: Refusal[];
  readonly findings: Collected;
  readonly added: Recipient[] = [];
  readonly done: string[];

  /** Begins where an earlier judgement ended, if there was one. */
  constructor(
    private readonly record: MessageRecord,
    private readonly parts: ContextParts,
    private readonly onNote: (text: string) => void,
  ) {
    const { meta, judged, recipients } = record;
    const ended = new Set(judged?.refused.map(({ i }) => i));
    const changed = new Map(judged?.changed.map((one) => [one.i, one]));
    this.added.push(...(judged?.added.slice(record.added ?? 0) ?? []));
    this.open = [...meta.envelope.recipients, ...this.added]
      .map((recipient, i) => changed.get(i) ?? { i, recipient })
      .filter(({ i }) => !ended.has(i) && !isTerminal(recipients[i]?.state ?? 'accepted'));
    this.refused = [...(judged?.refused ?? [])];
    this.done = [...(judged?.done ?? [])];
    this.findings = judged ? Collected.from(judged.findings) : new Collected(meta.tags);
    const everyone = new Set(this.open.map(({ i }) => i));
    this.forms = judged?.forms.map((form) => Form.from(form, parts)) ?? [new Form(everyone, parts)];
  }

  /** @returns what a check sees of the message in one of its forms, as it is now. */
  context(form: Form): CheckContext {
    const { record, parts, findings } = this;
    // Those of the form as the check found it.
    const ours = new Set(form.rcpts);
    const chosen = (rcpts: readonly number[] | undefined) => this.#split(ours, rcpts);
    const here = () => (this.forms.length === 1 ? this.open : this.open.filter(({ i }) => ours.has(i)));
    return {
      meta: record.meta,
      dry: parts.dry,
      findings,
      get open() {
        return here();
      },
      symbol: (name, score, reason) => findings.add({ name, score: parts.scores()[name] ?? score, reason }),
      tag: (name, value = '') => findings.tag(name, value),
      addHeader: (field, rcpts) => {
        for (const one of chosen(rcpts)) one.prepend = `${field}\r\n${one.prepend}`;
      },
      removeHeader: (test, rcpts) => {
        for (const one of chosen(rcpts)) one.remove(test);
      },
      rewrite: (body, rcpts) => {
        for (const one of chosen(rcpts)) one.replace(body);
      },
      body: () => form.body(),
      message: () => form.message(),
      mail: () => form.mail(),
      leaving: () => form.leaving(),
      refuse: (rejection) => this.refuse(rejection, here()),
      redirect: (address, rcpts) => this.#change(new Set(rcpts), (one) => redirected(one, address)),
      addRecipient: (address) => this.#add(address, form, ours),
      route: (via, rcpts) => this.#change(new Set(rcpts ?? ours), (one) => ({ ...one, via: merged(one.via, via) })),
      note: this.onNote,
      suppressed: parts.suppressed,
    };
  }

  /** Ends recipients, of those that a check was about. */
  refuse({ reply, rcpts, state = 'rejected' }: Rejection, about: readonly OpenRecipient[]): void {
    const hit = new Set(about.map(({ i }) => i).filter((i) => !rcpts || rcpts.includes(i)));
    for (const i of hit) this.refused.push({ i, reply, state });
    this.open = this.open.filter(({ i }) => !hit.has(i));
  }

  #change(rcpts: ReadonlySet<number>, change: (one: OpenRecipient) => OpenRecipient): void {
    this.open = this.open.map((one) => (rcpts.has(one.i) ? change(one) : one));
  }

  #add(address: string, form: Form, ours: Set<number>): void {
    const { recipients } = this.record.meta.envelope;
    const same = ({ address: other }: Recipient) => other.toLowerCase() === address.toLowerCase();
    if (recipients.some(same) || this.added.some(same) || this.added.length >= MOST_ADDED) return;
    const i = recipients.length + this.added.length;
    const recipient: Recipient = { address, notify: ['NEVER'] };
    this.added.push(recipient);
    this.open = [...this.open, { i, recipient }];
    form.rcpts = new Set([...form.rcpts, i]);
    ours.add(i);
  }

  /** @returns the forms of these recipients and no other, split off where they had others with them. */
  #split(ours: ReadonlySet<number>, rcpts: readonly number[] | undefined): Form[] {
    if (!rcpts && this.forms.length === 1) return this.forms;
    const wanted = new Set([...ours].filter((i) => !rcpts || rcpts.includes(i)));
    const chosen: Form[] = [];
    this.forms = this.forms.flatMap((form) => {
      const inside = [...form.rcpts].filter((i) => wanted.has(i));
      if (inside.length === 0) return [form];
      if (inside.length === form.rcpts.size) {
        chosen.push(form);
        return [form];
      }
      const split = form.copy(new Set(inside));
      chosen.push(split);
      form.rcpts = new Set([...form.rcpts].filter((i) => !wanted.has(i)));
      return [form, split];
    });
    return chosen;
  }
}

/** Whoever reports on the message names the address it was sent to (RFC 3461 §5.2.7.3). */
function redirected(one: OpenRecipient, address: string): OpenRecipient {
  const { recipient } = one;
  return { ...one, recipient: { ...recipient, orcpt: recipient.orcpt ?? `rfc822;${recipient.address}`, address } };
}

const merged = (before: Via | undefined, { to, pool }: Via): Via => ({
  ...before,
  ...(to === undefined ? {} : { to }),
  ...(pool === undefined ? {} : { pool }),
});
