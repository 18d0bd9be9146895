import { headerFields } from '@waypost/mail';
import { isUncertain } from '@waypost/redis';
import { parseTraceparent } from '@waypost/runtime';
import type { IdempotencyStore, MessageStore } from '@waypost/store';
import type { Request, Response } from 'express';
import { foreignAuthor } from '../author.js';
import type { Credential } from '../ports.js';
import { asList, isBase64, mailboxes, readEmail, readTime, toEnvelope } from './message.js';
import { parse } from './parse.js';
import { type FieldError, invalid, Problem } from './problem.js';
import { batch, type EmailInput, email, rawEmail } from './schemas.js';
import { hashOf, newIds, prepareRaw, type Submission, type SubmitDeps, submit } from './submit.js';
import { emailOf, eventsOf } from './view.js';

export interface EmailDeps extends SubmitDeps {
  readonly store: MessageStore;
  readonly idempotency: IdempotencyStore;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** The handlers of /v1/emails, each one request to one answer. */
export class Emails {
  constructor(private readonly deps: EmailDeps) {}

  readonly send = (request: Request, response: Response) =>
    this.#once(request, response, 1, async ([id]) => {
      const submission = this.#submission(parse(email, request.body), credentialOf(response));
      await submit([submission], [id as string], submitter(request, response), this.deps);
      return { status: 200, body: { id } };
    });

  readonly batch = (request: Request, response: Response) => {
    const permissive = request.get('x-batch-validation') === 'permissive';
    const items = Array.isArray(request.body) ? Math.min(request.body.length, 100) : 0;
    return this.#once(request, response, items, async (ids) => {
      if (!permissive) return this.#strictBatch(request, response, ids);
      return this.#permissiveBatch(request, response, ids);
    });
  };

  readonly raw = (request: Request, response: Response) =>
    this.#once(request, response, 1, async ([id]) => {
      const submission = this.#rawSubmission(request, credentialOf(response));
      await submit([submission], [id as string], submitter(request, response), this.deps);
      return { status: 200, body: { id } };
    });

  readonly get = async (request: Request, response: Response) => {
    response.json(emailOf(await this.#find(request, response)));
  };

  readonly events = async (request: Request, response: Response) => {
    response.json(eventsOf(await this.#find(request, response)));
  };

  readonly cancel = async (request: Request, response: Response) => {
    const { meta } = await this.#find(request, response);
    const done = await this.deps.store.cancel(meta.id);
    if (done === 'unknown') throw notFound();
    if (done === 'too_late') {
      throw new Problem(409, 'already_sent', 'The message is on its way or has ended, so that it cannot be canceled');
    }
    response.json({ object: 'email', id: meta.id });
  };

  async #strictBatch(request: Request, response: Response, ids: readonly string[]): Promise<Answer> {
    const inputs = parse(batch, request.body);
    const submissions = inputs.map((input, index) => at(index, () => this.#submission(input, credentialOf(response))));
    await submit(submissions, ids, submitter(request, response), this.deps);
    return { status: 200, body: { data: submissions.map((_, index) => ({ id: ids[index] })) } };
  }

  /** What is right is sent, what is wrong is named. */
  async #permissiveBatch(request: Request, response: Response, ids: readonly string[]): Promise<Answer> {
    if (!Array.isArray(request.body) || request.body.length === 0 || request.body.length > 100)
      parse(batch, request.body);
    const good: { submission: Submission; id: string }[] = [];
    const errors: { index: number; message: string }[] = [];
    for (const [index, item] of (request.body as unknown[]).entries()) {
      try {
        good.push({
          submission: this.#submission(parse(email, item), credentialOf(response)),
          id: ids[index] as string,
        });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        errors.push({ index, message: error.message });
      }
    }
    const chosen = good.map(({ id }) => id);
    await submit(
      good.map(({ submission }) => submission),
      chosen,
      submitter(request, response),
      this.deps,
    );
    return { status: 200, body: { data: chosen.map((id) => ({ id })), errors } };
  }

  #submission(input: EmailInput, credential: Credential): Submission {
    const outgoing = readEmail(input, this.deps.config().limits, Date.now());
    mayUse(credential, outgoing.envelope.sender);
    return { outgoing, source: { email: input } };
  }

  /** message/rfc822 with the envelope in the query (`from`, `to` repeated), or JSON with the message in base64. */
  #rawSubmission(request: Request, credential: Credential): Submission {
    const { limits } = this.deps.config();
    const errors: FieldError[] = [];
    const mime = Buffer.isBuffer(request.body);
    const { from, to } = request.query as { from?: string; to?: string | string[] };
    const input = mime
      ? { from: from ?? '', to: asList(to), raw: '', scheduled_at: undefined }
      : parse(rawEmail, request.body);
    if (!mime && !isBase64(input.raw)) errors.push({ path: 'raw', message: 'is not valid base64' });
    const sender = input.from === '' ? '' : (mailboxes([input.from], 'from', errors)[0]?.address ?? '');
    const recipients = [...new Set(mailboxes(asList(input.to), 'to', errors).map(({ address }) => address))];
    if (recipients.length === 0) errors.push({ path: 'to', message: 'needs a recipient' });
    if (recipients.length > limits.recipients)
      errors.push({ path: 'to', message: `has more than ${limits.recipients} recipients` });
    const scheduledAt = readTime(input.scheduled_at, Date.now(), errors);
    const raw = mime ? (request.body as Buffer) : Buffer.from(input.raw, 'base64');
    if (raw.length === 0) errors.push({ path: 'raw', message: 'is empty' });
    if (hasBareLineEnds(raw)) errors.push({ path: 'raw', message: 'has a bare CR or LF; lines must end in CRLF' });
    if (errors.length > 0) throw invalid(errors.map(({ path, message }) => `${path}: ${message}`).join('; '), errors);
    mayUse(credential, sender);
    const foreign = foreignAuthor(raw, headerFields(raw), credential);
    if (foreign !== undefined) throw mayNot(foreign);
    const outgoing = {
      envelope: toEnvelope(sender, recipients),
      display: { to: recipients },
      ...(scheduledAt === undefined ? {} : { scheduledAt }),
    };
    return { outgoing, source: { raw: prepareRaw(raw, limits.header_size) } };
  }

  async #find(request: Request, response: Response) {
    const id = String(request.params.id);
    const record = /^[0-9a-f-]{36}$/.test(id) ? await this.deps.store.read(id) : undefined;
    const credential = credentialOf(response);
    // Another tenant's message is not there; who has no tenant sees what has none, and admins see all.
    const visible = credential.scopes.includes('admin') || record?.meta.origin.tenant === credential.tenant;
    if (!record || !visible) throw notFound();
    return record;
  }

  /** Runs a request once for its Idempotency-Key, where it has one. */
  async #once(
    request: Request,
    response: Response,
    count: number,
    work: (ids: readonly string[]) => Promise<Answer>,
  ): Promise<void> {
    const given = request.get('idempotency-key');
    const ids = newIds(count);
    if (!given) return reply(response, await work(ids));
    if (given.length > 256)
      throw new Problem(400, 'invalid_idempotency_key', 'Idempotency-Key is longer than 256 characters');
    const { idempotency } = this.deps;
    const key = `${credentialOf(response).id}:${hashOf(given)}`;
    const claim = await idempotency.claim(
      key,
      hashOf([
        request.originalUrl,
        request.get('x-batch-validation') ?? '',
        Buffer.isBuffer(request.body) ? hashOf(request.body) : request.body,
      ]),
      ids,
    );
    if (claim.kind === 'in_flight')
      throw new Problem(409, 'concurrent_idempotent_requests', 'A request with this Idempotency-Key is being answered');
    if (claim.kind === 'mismatch')
      throw new Problem(409, 'invalid_idempotent_request', 'This Idempotency-Key was used with another body');
    if (claim.kind === 'replay') {
      const { status, text } = JSON.parse(claim.answer) as { status: number; text: string };
      response.status(status).set('Idempotency-Replayed', 'true').type('json').send(text);
      return;
    }
    const answer = await this.#unlessDone(claim.ids, ids, work).catch(async (error) => {
      // Nothing was accepted, so that the key may be used again at once; where that is not sure, the ids will tell.
      if (error instanceof Problem && !isUncertain(error)) await idempotency.abandon(key).catch(() => undefined);
      throw error;
    });
    await idempotency.finish(key, JSON.stringify({ status: answer.status, text: JSON.stringify(answer.body) }));
    reply(response, answer);
  }

  /** A claim taken over from a request that died may have been committed already: its ids tell. */
  async #unlessDone(
    claimed: readonly string[],
    own: readonly string[],
    work: (ids: readonly string[]) => Promise<Answer>,
  ): Promise<Answer> {
    if (claimed[0] === own[0]) return work(own);
    const records = await this.deps.store.readMany(claimed);
    if (records.length === 0 || records.every((record) => record === undefined)) return work(claimed);
    const done = claimed.filter((_, index) => records[index] !== undefined).map((id) => ({ id }));
    return { status: 200, body: claimed.length === 1 ? { id: claimed[0] } : { data: done } };
  }
}

function reply(response: Response, { status, body }: Answer): void {
  response.status(status).type('json').send(JSON.stringify(body));
}

const credentialOf = (response: Response) => response.locals.credential as Credential;
const notFound = () => new Problem(404, 'not_found', 'There is no message of that id');

function submitter(request: Request, response: Response) {
  return {
    credential: credentialOf(response),
    remoteAddress: request.ip,
    traceparent: parseTraceparent(request.get('traceparent')),
  };
}

function mayUse(credential: Credential, sender: string): void {
  if (sender === '' || credential.allowsSender(sender)) return;
  throw mayNot(sender);
}

const mayNot = (sender: string) => new Problem(403, 'invalid_from_address', `This API key may not send as ${sender}`);

/** Names the item of a batch that is wrong. */
function at<T>(index: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(error.status, error.code, `emails.${index}: ${error.message}`, error.extra);
  }
}

function hasBareLineEnds(raw: Buffer): boolean {
  const text = raw.toString('latin1');
  return /\r(?!\n)|(?<!\r)\n/.test(text);
}
