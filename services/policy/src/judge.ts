import type { Config } from '@waypost/config';
import type { BodyRef, JudgedForm, MessageRecord } from '@waypost/mail';
import type { Runtime } from '@waypost/runtime';
import type { Draft, Spool } from '@waypost/spool';
import type { Suppression, SuppressionStore } from '@waypost/store';
import type { Check } from './check.js';
import { type Evaluation, evaluate, type Step } from './evaluate.js';
import { ScanMemory } from './scan-memory.js';
import { StoredMessage } from './stored.js';

export interface JudgeDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly suppressions: SuppressionStore;
  readonly checks: readonly Check[];
}

export interface JudgeOptions {
  /** False where it is known that no address is suppressed. */
  readonly anySuppressed?: boolean;
  /** Reads the stored bodies, where it is not the spool that has them. */
  readonly read?: (ref: BodyRef) => ReturnType<Spool['read']>;
  readonly onStep?: ((step: Step) => void) | undefined;
  /** Nothing may change by it. */
  readonly dry?: boolean;
}

/** The forms in which a message leaves, and those of their bodies that are to be stored with the verdict. */
export interface Leaving {
  readonly forms: readonly JudgedForm[];
  readonly drafts: readonly Draft[];
}

/** Runs the checks over messages, in the queue and in sessions alike. */
export class Judge {
  readonly #memory: ScanMemory;

  constructor(private readonly deps: JudgeDeps) {
    this.#memory = new ScanMemory(() => deps.config().policy.scan_memory);
  }

  /**
   * Judges a message.
   * @param use what is done with the evaluation while the message is still at hand.
   */
  async judge<T>(
    record: MessageRecord,
    options: JudgeOptions,
    use: (evaluation: Evaluation) => Promise<T>,
  ): Promise<T> {
    const { runtime, spool, suppressions, checks, config } = this.deps;
    const { id, origin } = record.meta;
    const { anySuppressed = true, onStep, dry = false, read = (ref) => spool.read(id, ref) } = options;
    const stored = new StoredMessage(record.meta, {
      read,
      memory: this.#memory,
      scanMax: config().policy.scan_max,
    });
    const parts = {
      body: (ref?: BodyRef) => stored.body(ref),
      message: (ref?: BodyRef) => stored.message(ref),
      mail: (ref?: BodyRef) => stored.mail(ref),
      dry,
      scores: () => config().spam.scores,
      suppressed: async (addresses: readonly string[]) =>
        anySuppressed ? suppressions.find(addresses, origin.tenant) : NONE,
    };
    try {
      const onError = (error: Error, check: string) =>
        runtime.log.error({ id, check, error: error.message }, 'a policy check failed');
      return await use(await evaluate(record, checks, parts, { onError, onStep }));
    } finally {
      stored.close();
    }
  }

  /** Finds what is cut and stores what was replaced: large bodies at once, inline ones with the verdict. */
  async leaving(
    { meta }: MessageRecord,
    { forms, open }: Evaluation,
    { dry = false }: Pick<JudgeOptions, 'dry'> = {},
  ): Promise<Leaving> {
    const drafts: Draft[] = [];
    // Nobody gets the forms of those who were refused.
    const wanted = forms.filter(({ rcpts }) => open.some(({ i }) => rcpts.has(i)));
    const judged = await Promise.all(
      wanted.map(async (form): Promise<JudgedForm> => {
        const { prepend, replaced, rcpts } = form;
        const cut = await form.cut();
        const draft = replaced ? await this.#draft(meta.id, replaced, dry) : undefined;
        if (draft) drafts.push(draft);
        return {
          rcpts: [...rcpts],
          ref: draft?.ref ?? form.ref ?? meta.body,
          ...(prepend ? { prepend } : {}),
          ...(cut.length > 0 ? { cut } : {}),
        };
      }),
    );
    return { forms: judged, drafts };
  }

  async #draft(id: string, body: Buffer, dry: boolean): Promise<Draft> {
    if (!dry) return this.deps.spool.storeVariant(id, body);
    return { id, ref: { at: 'inline', size: body.length, variant: 'dry' } };
  }
}

const NONE: ReadonlyMap<string, Suppression> = new Map();
