import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { HeldError, LimitedError, type WholeUsage } from '@waypost/abuse';
import type { Config } from '@waypost/config';
import {
  domainOf,
  fieldValue,
  headerEnd,
  headerFields,
  LineEndNormaliser,
  type MessageMeta,
  type Origin,
  SmtpError,
  withoutFields,
} from '@waypost/mail';
import { isUncertain } from '@waypost/redis';
import type { Runtime, Span } from '@waypost/runtime';
import { type Draft, type Spool, SpoolFullError } from '@waypost/spool';
import { type Arrival, type Committer, newMessageId } from '@waypost/store';
import type { AbuseControl, Credential } from '../ports.js';
import { composeMime, type Outgoing, receivedOverHttp } from './message.js';
import { busy, Problem } from './problem.js';
import type { EmailInput } from './schemas.js';

export interface SubmitDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly abuse: AbuseControl;
}

/** Who submits, and from where. */
export interface Submitter {
  readonly credential: Credential;
  readonly remoteAddress: string | undefined;
  readonly traceparent: string | undefined;
}

/** A message to submit: its checked envelope, and its body as fields or ready. */
export interface Submission {
  readonly outgoing: Outgoing;
  readonly source: { readonly email: EmailInput } | { readonly raw: Buffer };
}

/** @returns ids for as many messages. */
export const newIds = (count: number) => Array.from({ length: count }, () => newMessageId());

/** @returns what tells one request body from another. */
export const hashOf = (body: unknown) =>
  createHash('sha256')
    .update(Buffer.isBuffer(body) ? body : JSON.stringify(body))
    .digest('hex');

/**
 * Makes messages durable, all or none. When it resolves, HTTP 200 may be answered.
 * @param ids one a submission.
 * @throws Problem
 */
export async function submit(
  submissions: readonly Submission[],
  ids: readonly string[],
  by: Submitter,
  deps: SubmitDeps,
): Promise<void> {
  const arrivals: Arrival[] = [];
  const spans: Span[] = [];
  let giveBack = () => {};
  try {
    deps.abuse.habits.check(by.credential.id);
    for (const [index, submission] of submissions.entries()) {
      const id = ids[index] as string;
      const span = startSpan(id, by, deps);
      spans.push(span);
      arrivals.push(await prepare(submission, id, { ...by, traceparent: span.traceparent }, deps));
    }
    giveBack = await deps.abuse.limiter.whole(arrivals.map(({ meta }) => usageOf(meta)));
    await deps.committer.commitMany(arrivals);
    for (const span of spans) span.end();
  } catch (error) {
    for (const span of spans) span.end(error as Error);
    // What may have been committed keeps its body: the policy job is there then.
    if (!isUncertain(error)) {
      giveBack();
      await Promise.all(arrivals.map(({ draft }) => deps.spool.discard(draft).catch(() => undefined)));
    }
    throw toProblem(error, deps);
  }
  deps.runtime.metrics.messagesReceived.inc({ kind: 'http', protocol: 'HTTP' }, arrivals.length);
  const recipients = arrivals.reduce((sum, { meta }) => sum + meta.envelope.recipients.length, 0);
  deps.abuse.habits.sent(by.credential.id, recipients);
}

function usageOf({ envelope, origin, body }: MessageMeta): WholeUsage {
  const { credential, tenant, remoteAddress: address } = origin;
  const domains = envelope.recipients.map((recipient) => domainOf(recipient.address));
  return { kind: 'http', credential, tenant, address, sender: envelope.sender, octets: body.size, domains };
}

function startSpan(id: string, { traceparent }: Submitter, { runtime }: SubmitDeps): Span {
  return runtime.tracer.start('receive', {
    parent: traceparent,
    kind: 'server',
    attributes: { 'waypost.service': 'ingress', 'messaging.message.id': id },
  });
}

async function prepare(
  { outgoing, source }: Submission,
  id: string,
  by: Submitter,
  deps: SubmitDeps,
): Promise<Arrival> {
  const { hostname } = deps.config().server;
  const now = Date.now();
  const { credential, remoteAddress } = by;
  const origin: Origin = {
    kind: 'http',
    listener: 'http',
    protocol: 'HTTP',
    credential: credential.id,
    ...(remoteAddress ? { remoteAddress } : {}),
    ...(credential.tenant ? { tenant: credential.tenant } : {}),
  };
  const received = receivedOverHttp(hostname, { id, origin, envelope: outgoing.envelope, receivedAt: now });
  const draft = await toDraft(source, id, received, deps);
  const limit = deps.config().limits.message_size;
  if (draft.ref.size > limit) {
    await deps.spool.discard(draft);
    throw new Problem(413, 'validation_error', `The message is ${draft.ref.size} octets, ${limit} are allowed`);
  }
  const meta: MessageMeta = {
    id,
    envelope: outgoing.envelope,
    origin,
    body: draft.ref,
    receivedAt: now,
    hops: 0,
    display: outgoing.display,
    ...(by.traceparent ? { traceparent: by.traceparent } : {}),
    ...(outgoing.scheduledAt === undefined ? {} : { scheduledAt: outgoing.scheduledAt }),
    ...described(source, id, hostname),
  };
  return { meta, draft };
}

async function toDraft(
  source: Submission['source'],
  id: string,
  received: Buffer,
  { spool, config }: SubmitDeps,
): Promise<Draft> {
  if ('raw' in source) return spool.store(id, Buffer.concat([received, source.raw]));
  const { hostname } = config().server;
  const stream: Readable = composeMime(source.email, id, hostname, Date.now());
  return spool.receive(id, normalised(stream as AsyncIterable<Buffer>), received);
}

/** Texts and attached messages may have any line ends; a message has CRLF alone. */
async function* normalised(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const normaliser = new LineEndNormaliser();
  for await (const chunk of source) {
    const done = normaliser.push(chunk);
    if (done.length > 0) yield done;
  }
  const rest = normaliser.end();
  if (rest.length > 0) yield rest;
}

function described(source: Submission['source'], id: string, hostname: string): Partial<MessageMeta> {
  if ('email' in source) {
    const { email } = source;
    const given = Object.entries(email.headers ?? {}).find(([name]) => name.toLowerCase() === 'message-id')?.[1];
    return {
      messageId: given ?? `<${id}@${hostname}>`,
      subject: email.subject,
      headerFrom: email.from,
      ...(email.tags ? { tags: email.tags } : {}),
    };
  }
  const { raw } = source;
  const fields = headerFields(raw);
  const value = (name: string) => {
    const field = fields.find((one) => one.name === name);
    return field && fieldValue(raw, field).slice(0, 998);
  };
  const messageId = value('message-id');
  const subject = value('subject');
  const headerFrom = value('from');
  return {
    ...(messageId ? { messageId } : {}),
    ...(subject ? { subject } : {}),
    ...(headerFrom ? { headerFrom } : {}),
  };
}

/** @returns the message without Bcc. @throws Problem for a header section that never ends in too many octets. */
export function prepareRaw(raw: Buffer, headerLimit: number): Buffer {
  const end = headerEnd(raw);
  if ((end < 0 ? raw.length : end) > headerLimit) {
    throw new Problem(413, 'validation_error', `The header section is larger than ${headerLimit} octets`);
  }
  const hidden = headerFields(raw).filter(({ name }) => name === 'bcc' || name === 'resent-bcc');
  return withoutFields(raw, hidden);
}

function toProblem(error: unknown, { runtime }: SubmitDeps): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof LimitedError) {
    const { per, measure } = error.charge;
    runtime.metrics.limited.inc({ per, measure });
    const headers = { 'Retry-After': String(error.retryAfter) };
    return new Problem(429, 'rate_limit_exceeded', `${error.message}; try again in ${error.retryAfter} s`, { headers });
  }
  if (error instanceof HeldError) {
    runtime.metrics.held.inc();
    const headers = { 'Retry-After': String(error.retryAfter) };
    return new Problem(429, 'rate_limit_exceeded', error.message, { headers });
  }
  runtime.log.warn(
    { error: (error as Error).message, cause: ((error as Error).cause as Error)?.message },
    'a submission over HTTP failed',
  );
  if (error instanceof SpoolFullError) return busy('The spool is full; try again later', error);
  if (error instanceof SmtpError) return busy(error.reply.text, error);
  return busy('The message could not be stored; try again later', error);
}
