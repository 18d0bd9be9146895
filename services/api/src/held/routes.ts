import { domainOf, type MessageRecord, matchDomain } from '@waypost/mail';
import { leaving } from '@waypost/spool';
import { type HeldMail, listHeld } from '@waypost/store';
import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import type { ActionDeps } from '../queue/actions.js';
import { audited } from '../queue/audit.js';
import { InputError, read } from '../queue/input.js';
import { beginningToShow, heldLine, heldView } from './view.js';

export interface HeldRouteDeps extends ActionDeps {
  readonly held: HeldMail;
  /** Tells the classifier that a message is no spam. */
  readonly learn?: ((message: Buffer, record: MessageRecord) => Promise<void>) | undefined;
}

const match = z.strictObject({
  tenant: z.string().max(255).optional(),
  /** An address, or `@example.com`. */
  sender: z.string().max(255).optional(),
  /** Of a recipient: `example.com`, `*.example.com`. */
  domain: z.string().max(255).optional(),
  /** The check that holds it. */
  by: z.string().max(100).optional(),
  /** Part of the reason. */
  reason: z.string().max(200).optional(),
  /** Seconds since it was received, at least. */
  older_than: z.coerce.number().int().min(0).optional(),
});
type HeldMatch = z.output<typeof match>;

const listQuery = match.extend({ limit: z.coerce.number().int().min(1).max(1000).default(100) });
const action = z
  .strictObject({
    action: z.enum(['release', 'delete', 'reject']),
    ids: z.array(z.uuid()).min(1).max(1000).optional(),
    match: match
      .refine((given) => Object.keys(given).length > 0, 'name something, so that not all is meant by mistake')
      .optional(),
    /** release: checks that it is not to meet any more. */
    bypass: z.array(z.string().max(100)).max(50).default([]),
    /** release: the classifier is told that it is no spam. */
    learn: z.boolean().default(false),
    /** reject: told to the sender; all: kept in the audit. */
    reason: z
      .string()
      .max(200)
      .regex(/^[\x20-\x7e]*$/, 'takes printable ASCII')
      .default(''),
    dry_run: z.boolean().default(false),
  })
  .refine(({ ids, match: given }) => (ids === undefined) !== (given === undefined), 'give either "ids" or "match"');
type Order = z.output<typeof action>;

/** Messages a search looks at, and one order changes. */
const MOST_SEEN = 100_000;
const PAGE = 200;

/** Held mail: what is held and why, a safe look at it, and what becomes of it. Every change is kept in the audit. */
export function addHeldRoutes(app: Express, deps: HeldRouteDeps): void {
  const json = express.json({ limit: 262_144, type: 'application/json' });
  app.get('/admin/v1/held', async (request, response) => {
    const { limit, ...wanted } = read(listQuery, request.query);
    const data = [];
    for await (const record of heldIn(wanted, deps)) {
      if (data.length === limit) return void response.json({ data, more: true });
      data.push(heldLine(record));
    }
    response.json({ data, more: false });
  });
  app.get('/admin/v1/held/:id', async (request, response) => {
    const record = await found(request, deps);
    response.json(heldView(record, await messageOf(record, deps)));
  });
  app.post('/admin/v1/held/actions', json, async (request, response) => {
    response.json(await run(read(action, request.body), response, deps));
  });
}

async function found(request: Request, { store }: HeldRouteDeps): Promise<MessageRecord> {
  const id = String(request.params.id);
  const record = /^[0-9a-f-]{36}$/.test(id) ? await store.read(id) : undefined;
  if (record?.stage !== 'held') throw new InputError(`there is no held message ${id}`);
  return record;
}

/** The stored message without what policy takes out of it. */
async function messageOf({ meta, judged }: MessageRecord, { spool }: HeldRouteDeps): Promise<Buffer> {
  const form = judged?.forms[0];
  return beginningToShow(leaving(await spool.read(meta.id, meta.body), form?.ref.variant ? {} : { cut: form?.cut }));
}

async function* heldIn(wanted: HeldMatch, { executor, store }: HeldRouteDeps): AsyncGenerator<MessageRecord> {
  const now = Date.now();
  for (let at = 0; at < MOST_SEEN; at += PAGE) {
    const ids = await listHeld(executor, at, PAGE);
    for (const record of await store.readMany(ids))
      if (record?.stage === 'held' && fits(record, wanted, now)) yield record;
    if (ids.length < PAGE) return;
  }
}

function fits({ meta, judged }: MessageRecord, wanted: HeldMatch, now: number): boolean {
  const { tenant, sender, domain, by, reason, older_than } = wanted;
  const { envelope, origin } = meta;
  const from = envelope.sender.toLowerCase();
  return (
    (tenant === undefined || tenant === origin.tenant) &&
    (by === undefined || by === judged?.hold?.by) &&
    (reason === undefined || judged?.hold?.reason.toLowerCase().includes(reason.toLowerCase()) === true) &&
    (older_than === undefined || now - meta.receivedAt >= older_than * 1000) &&
    (sender === undefined ||
      (sender.startsWith('@') ? matchDomain(sender.slice(1), domainOf(from)) : sender.toLowerCase() === from)) &&
    (domain === undefined || envelope.recipients.some(({ address }) => matchDomain(domain, domainOf(address))))
  );
}

async function run(order: Order, response: Response, deps: HeldRouteDeps) {
  const { ids, match: wanted = {}, reason, dry_run } = order;
  const by = String(response.locals.by ?? 'loopback');
  const chosen: MessageRecord[] = [];
  if (ids)
    chosen.push(
      ...(await deps.store.readMany(ids)).filter((one) => one?.stage === 'held').map((one) => one as MessageRecord),
    );
  else for await (const record of heldIn(wanted, deps)) if (chosen.push(record) >= 1000) break;
  let changed = dry_run ? chosen.length : 0;
  for (const record of dry_run ? [] : chosen) if (await one(order, record, by, deps)) changed += 1;
  if (!dry_run) {
    const target = ids ? { ids } : { match: wanted };
    const entry = { at: new Date().toISOString(), by, action: `held ${order.action}`, target, reason, changed };
    await deps.executor.exec([audited(entry)]);
  }
  return { action: order.action, dry_run, changed, left_alone: (ids?.length ?? chosen.length) - changed };
}

async function one(order: Order, record: MessageRecord, by: string, deps: HeldRouteDeps): Promise<boolean> {
  const { held, learn } = deps;
  if (order.action === 'delete') return held.drop(record);
  if (order.action === 'reject') {
    const text = order.reason || 'Refused after review';
    return held.refuse(record, 'rejected', { code: 550, enhanced: '5.7.1', text }, `refused by ${by}`);
  }
  if (order.learn && learn) await learn(await messageOf(record, deps), record);
  return held.release(record, by, order.bypass);
}
