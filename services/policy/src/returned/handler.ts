import type { Report, ReportReader } from '@waypost/bounces';
import type { Config } from '@waypost/config';
import type { MessageEvent, MessageMeta, MessageRecord, RecipientStatus } from '@waypost/mail';
import type { PolicyQueue } from '@waypost/queue';
import type { Command } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import type { Spool } from '@waypost/spool';
import {
  type Committer,
  type MessageStore,
  noteHeld,
  type SuppressionStore,
  suppressFor,
  type Trail,
  type TrailStore,
} from '@waypost/store';
import { reportAddress, subjectIn } from '@waypost/verp';
import { beginning } from './beginning.js';
import { copyOf } from './copy.js';
import { findings, type Subject } from './findings.js';
import { type Consequences, consequences } from './notes.js';

export interface ReportDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly store: MessageStore;
  readonly trails: TrailStore;
  readonly committer: Committer;
  readonly suppressions: SuppressionStore;
  readonly queue: PolicyQueue;
  readonly reader: Pick<ReportReader, 'read'>;
}

/** What became of a report. */
export interface Handled {
  readonly commands: Command[];
  /** It has ended: its body is not needed any more. */
  readonly ended: boolean;
}

const UNFOUND = 'it is about no message of ours that can be found';
/** Octets of a report that are read. */
const READ = 512 * 1024;

/**
 * Deals with bounces and complaints that came back. All that follows from one goes into the transaction that ends it, so that
 * it follows once, whenever the process dies.
 */
export class ReportHandler {
  constructor(private readonly deps: ReportDeps) {}

  /** @returns whether a message is a report: it is to one address, and that one takes nothing else. */
  covers({ envelope, receivedAt }: MessageMeta): boolean {
    const [only, ...others] = envelope.recipients;
    if (!only || others.length > 0) return false;
    const found = reportAddress(this.deps.config().bounces, only.address, receivedAt);
    return found?.kind === 'bounce' || found?.kind === 'feedback';
  }

  async handle({ meta, stage }: MessageRecord): Promise<Handled> {
    if (stage === 'held') return this.#expire(meta);
    const body = await this.deps.spool.read(meta.id, meta.body);
    const report = await this.deps.reader.read(await beginning(body, READ));
    if (!report) return this.#unclear(meta, 'unknown', 'it is no report that can be read');
    const { metrics } = this.deps.runtime;
    if (report.kind === 'auto_reply') {
      metrics.returned.inc({ kind: report.kind, result: 'ignored' });
      return this.#end(meta, 'an automatic answer, counted');
    }
    const subject = this.#subject(meta, report);
    if (!subject) return this.#unclear(meta, report.kind, UNFOUND);
    const trail = await this.#trail(subject.id);
    if (!subject.proven && !trail) return this.#unclear(meta, report.kind, UNFOUND);
    const found = findings(report, subject, trail?.recipients.map(({ address }) => address) ?? []);
    const now = Date.now();
    const what = consequences({ report, subject, findings: found, trail, reportId: meta.id, now });
    for (const { event } of what.notes) this.deps.runtime.log.event(event);
    metrics.returned.inc({ kind: report.kind, result: what.notes.length > 0 ? 'noted' : 'ignored' });
    return this.#record(meta, subject, trail, what);
  }

  /** By the address it came to; by what it returns of the message; and, without proof, by what it merely says. */
  #subject({ envelope, receivedAt }: MessageMeta, report: Report): Subject | undefined {
    const { bounces, server } = this.deps.config();
    const address = reportAddress(bounces, envelope.recipients[0]?.address ?? '', receivedAt);
    if (address?.kind === 'bounce') return { ...address.subject, proven: true };
    for (const mark of report.marks ?? []) {
      const subject = subjectIn(bounces, mark, receivedAt);
      if (subject) return { ...subject, proven: true };
    }
    const [, id, host] = /^<([0-9a-f-]{36})@([^>]+)>$/.exec(report.originalMessageId ?? '') ?? [];
    const claimed = report.queueId ?? (host?.toLowerCase() === server.hostname.toLowerCase() ? id : undefined);
    return claimed === undefined ? undefined : { id: claimed, proven: false };
  }

  /** What is known of a message; its record has it where it was not kept. */
  async #trail(id: string): Promise<Trail | undefined> {
    const kept = await this.deps.trails.read(id);
    if (kept) return kept;
    const record = await this.deps.store.read(id);
    if (!record) return undefined;
    const { envelope, origin } = record.meta;
    // What becomes of mail from outside is not ours to act upon.
    if (origin.kind === 'mx' || envelope.sender === '') return undefined;
    return { id, ...envelope, ...(origin.tenant ? { tenant: origin.tenant } : {}) };
  }

  async #record(meta: MessageMeta, { id }: Subject, trail: Trail | undefined, what: Consequences): Promise<Handled> {
    const { config, store, suppressions } = this.deps;
    const forward =
      what.forward && config().bounces.forward && trail ? await this.#copy(meta, trail.sender) : undefined;
    const detail = `about ${id}${forward ? `, forwarded to its sender as ${forward.id}` : ''}`;
    const { commands } = this.#end(meta, detail);
    return {
      ended: true,
      commands: [
        // First, since each looks whether the report has ended.
        ...what.notes.map((note) => store.note(meta.id, note)),
        ...what.incidents.flatMap((one) => suppressFor(one, suppressions, config().suppressions)),
        ...(forward?.commands ?? []),
        ...commands,
      ],
    };
  }

  async #copy(meta: MessageMeta, to: string): Promise<{ id: string; commands: Command[] }> {
    const { spool, committer } = this.deps;
    const arrival = await copyOf(meta, to, spool);
    return { id: arrival.meta.id, commands: committer.commands([arrival], { once: true }) };
  }

  /** A person may make sense of it. */
  async #unclear(meta: MessageMeta, kind: string, reason: string): Promise<Handled> {
    const { runtime, config, store, queue } = this.deps;
    const { bounces, delivery } = config();
    if (bounces.postmaster !== undefined) {
      runtime.metrics.returned.inc({ kind, result: 'forwarded' });
      const copy = await this.#copy(meta, bounces.postmaster);
      const { commands } = this.#end(meta, `${reason}; forwarded to ${bounces.postmaster} as ${copy.id}`);
      return { ended: true, commands: [...copy.commands, ...commands] };
    }
    runtime.metrics.returned.inc({ kind, result: 'held' });
    const now = Date.now();
    const event: MessageEvent = { type: 'Held', id: meta.id, at: now, detail: `a report: ${reason}` };
    runtime.log.event(event);
    const outcomes = [{ i: 0, status: { state: 'held', at: now } satisfies RecipientStatus }];
    return {
      ended: false,
      commands: [
        ...store.transition({ id: meta.id, outcomes, events: [event], stage: 'held' }),
        noteHeld(meta.id, meta.receivedAt + delivery.max_age),
        ...queue.add([meta.id], { jobId: `${meta.id}~held`, at: meta.receivedAt + delivery.max_age }),
      ],
    };
  }

  /** Nobody came for it. */
  #expire(meta: MessageMeta): Handled {
    if (Date.now() < meta.receivedAt + this.deps.config().delivery.max_age) return { ended: false, commands: [] };
    const at = Date.now();
    const reply = { code: 550, enhanced: '4.4.7', text: 'Held, and nobody came for it' };
    return this.#finish(meta, { state: 'expired', at, reply }, { type: 'Expiration', id: meta.id, at, reply });
  }

  #end(meta: MessageMeta, detail: string): Handled {
    const at = Date.now();
    const reply = { code: 250, enhanced: '2.0.0', text: `Report dealt with: ${detail}` };
    return this.#finish(meta, { state: 'delivered', at, reply }, { type: 'Delivery', id: meta.id, at, reply });
  }

  #finish({ id }: MessageMeta, status: RecipientStatus, event: MessageEvent): Handled {
    const { runtime, store } = this.deps;
    runtime.log.event(event);
    return { ended: true, commands: store.transition({ id, outcomes: [{ i: 0, status }], events: [event] }) };
  }
}
