import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { headerEnd, LineEndNormaliser, LineEndScanner, type MessageMeta, SmtpError } from '@waypost/mail';
import { isUncertain } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import { type Draft, type Spool, SpoolFullError } from '@waypost/spool';
import { type Committer, newMessageId } from '@waypost/store';
import type { InFlight } from '../in-flight.js';
import { type HeaderFacts, prepareHeader } from './header.js';
import type { AcceptSettings, Incoming } from './incoming.js';
import type { InlinePolicy } from './inline-policy.js';

export interface AcceptDeps {
  readonly runtime: Runtime;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly inFlight: InFlight;
  /** Asked before the message is taken, where the listener wants that. */
  readonly inline?: InlinePolicy | undefined;
}

const BARE = () => new SmtpError(550, '5.5.2', 'Message has a bare CR or LF; lines must end in CRLF');

/**
 * Takes a message in and makes it durable: the commit point. When it resolves, 250 may be answered.
 * @returns the queue id.
 * @throws SmtpError; anything else is our trouble and temporary.
 */
export async function accept(incoming: Incoming, settings: AcceptSettings, deps: AcceptDeps): Promise<string> {
  const id = newMessageId();
  const started = Date.now();
  const collected = await collect(incoming, settings, deps.inFlight);
  try {
    const facts = prepareHeader(collected.head, collected.whole, { id, started, incoming, settings });
    const span = deps.runtime.tracer.start('receive', {
      parent: facts.traceparent,
      kind: 'server',
      startTime: started,
      attributes: { 'waypost.service': 'ingress', 'messaging.message.id': id },
    });
    const draft = await toDraft(id, collected, facts, deps.spool);
    const meta = describe(id, started, incoming, facts, draft, span.traceparent);
    await judgeAndCommit(meta, draft, deps).catch(async (error: Error) => {
      // What may have been committed keeps its body: the policy job is there then.
      if (!isUncertain(error)) await deps.spool.discard(draft);
      span.end(error);
      throw error;
    });
    span.end();
    return id;
  } catch (error) {
    incoming.stream.resume();
    throw toSmtpError(error);
  } finally {
    deps.inFlight.remove(collected.head.length);
  }
}

async function judgeAndCommit(meta: MessageMeta, draft: Draft, { inline, committer }: AcceptDeps): Promise<void> {
  await committer.commit(meta, draft, inline ? await inline.judge(meta, draft) : {});
}

interface Collected {
  /** The message as far as it was read: all of it where `whole`. */
  readonly head: Buffer;
  readonly whole: boolean;
  /** The rest, checked for line ends as it is read. */
  readonly rest: () => AsyncIterable<Buffer>;
}

/** Reads up to `inlineMax` octets and the header section, or the whole message where it is shorter. */
async function collect({ stream }: Incoming, settings: AcceptSettings, inFlight: InFlight): Promise<Collected> {
  const scanner = new LineEndScanner();
  const normaliser = settings.bareNewlines === 'normalise' ? new LineEndNormaliser() : undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  let enough = settings.inlineMax;
  let bare = false;
  let pause: (() => void) | undefined;
  stream.on('error', () => undefined);
  const take = (chunk: Buffer): Buffer => {
    if (normaliser) return normaliser.push(chunk);
    bare ||= scanner.hasBare(chunk);
    return chunk;
  };
  const onData = (chunk: Buffer) => {
    if (stream.sizeExceeded || (bare && !normaliser)) return;
    const taken = take(chunk);
    chunks.push(taken);
    size += taken.length;
    inFlight.add(taken.length);
    if (size <= enough) return;
    // What is done to the header must see all of it; looked for at doubling sizes, so that the search stays linear.
    if (size > settings.headerSize || headerEnd(Buffer.concat(chunks)) >= 0) pause?.();
    else enough = Math.min(size * 2, settings.headerSize);
  };
  const whole = await new Promise<boolean>((resolve, reject) => {
    pause = () => {
      stream.pause();
      stream.off('data', onData);
      resolve(false);
    };
    stream.on('data', onData);
    stream.once('end', () => resolve(true));
    stream.once('close', () =>
      stream.readableEnded ? undefined : reject(new SmtpError(451, '4.4.2', 'Connection lost in DATA')),
    );
  }).catch((error: Error) => {
    inFlight.remove(size);
    throw error;
  });
  const refusal = stream.sizeExceeded
    ? tooLarge()
    : bare || (whole && !normaliser && scanner.endsBare())
      ? BARE()
      : undefined;
  if (whole && normaliser) chunks.push(normaliser.end());
  if (refusal) {
    inFlight.remove(size);
    await drained(stream);
    throw refusal;
  }
  async function* rest(): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      if (stream.sizeExceeded || bare) continue;
      const taken = take(chunk as Buffer);
      if (!bare) yield taken;
    }
    if (stream.sizeExceeded) throw tooLarge();
    if (normaliser) yield normaliser.end();
    else if (bare || scanner.endsBare()) throw BARE();
  }
  return { head: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks), whole, rest };
}

const tooLarge = () => new SmtpError(552, '5.3.4', 'Message is larger than this server takes');

async function drained(stream: Readable): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return;
  stream.resume();
  await once(stream, 'close').catch(() => undefined);
}

async function toDraft(id: string, collected: Collected, facts: HeaderFacts, spool: Spool): Promise<Draft> {
  if (collected.whole) return spool.store(id, Buffer.concat([facts.prepend, ...facts.body]));
  return spool.receive(id, collected.rest(), Buffer.concat([facts.prepend, ...facts.body]));
}

function describe(
  id: string,
  receivedAt: number,
  { envelope, origin }: Incoming,
  facts: HeaderFacts,
  draft: Draft,
  traceparent: string,
): MessageMeta {
  return {
    id,
    envelope: { ...envelope, ...(facts.tlsOptional ? { tlsOptional: true } : {}) },
    origin,
    body: draft.ref,
    receivedAt,
    hops: facts.hops,
    traceparent,
    ...(facts.messageId ? { messageId: facts.messageId } : {}),
    ...(facts.subject ? { subject: facts.subject } : {}),
    ...(facts.from ? { headerFrom: facts.from } : {}),
  };
}

function toSmtpError(error: unknown): SmtpError {
  if (error instanceof SmtpError) return error;
  if (error instanceof SpoolFullError)
    return new SmtpError(452, '4.3.1', 'Insufficient system storage, try again later', { cause: error });
  return new SmtpError(451, '4.3.0', 'Message could not be taken, try again later', { cause: error });
}
