import { BANNED_FOR_GOOD, ban, formatNetwork, listBans, parseNetwork, unban } from '@waypost/abuse';
import type { Config } from '@waypost/config';
import type { Executor } from '@waypost/redis';
import express, { type Express } from 'express';
import { z } from 'zod';
import { audited } from './queue/audit.js';
import { read } from './queue/input.js';

export interface BanDeps {
  readonly executor: Executor;
  readonly config: () => Config;
}

/** Bans that one answer shows. */
const SHOWN = 1000;
/** Wider networks are somebody else's too: a slip of the pen would let nobody in. */
const WIDEST = { 4: 8, 6: 16 };

const network = z.string().transform((text, ctx) => {
  const parsed = parseNetwork(text);
  if (parsed && parsed.bits >= WIDEST[parsed.version]) return formatNetwork(parsed);
  ctx.addIssue({
    code: 'custom',
    message: `"${text}" is no network that could be banned; write an address, or such as 192.0.2.0/24`,
  });
  return z.NEVER;
});
const addBody = z.strictObject({
  network,
  reason: z.string().min(1).max(200),
  /** Seconds; for good where absent. */
  for: z
    .int()
    .min(1)
    .max(10 * 365 * 86_400)
    .optional(),
});
const removeBody = z.strictObject({ network });

/** Who is banned, and an operator's word on it. Every change is kept in the audit. */
export function addBanRoutes(app: Express, { executor, config }: BanDeps): void {
  const json = express.json({ limit: 16_384, type: 'application/json' });
  const most = () => config().abuse.bans.max_entries;
  app.get('/admin/v1/bans', async (_request, response) => {
    const bans = await listBans(executor, most());
    const soon = Date.now() + BANNED_FOR_GOOD / 2;
    const data = bans.slice(0, SHOWN).map((one) => ({
      ...one,
      since: iso(one.since),
      till: one.till > soon ? null : iso(one.till),
    }));
    response.json({ data, total: bans.length });
  });
  app.post('/admin/v1/bans/add', json, async (request, response) => {
    const { network, reason, for: seconds } = read(addBody, request.body);
    const by = operator(response.locals.by);
    const command = ban(network, seconds === undefined ? BANNED_FOR_GOOD : seconds * 1000, reason, by, most());
    const entry = { at: iso(Date.now()), by, action: 'ban', target: network, reason, changed: 0 };
    const [till] = (await executor.exec([command, audited(entry)])) as [number];
    response.json({ network, till: seconds === undefined ? null : iso(till) });
  });
  app.post('/admin/v1/bans/remove', json, async (request, response) => {
    const { network } = read(removeBody, request.body);
    const entry = {
      at: iso(Date.now()),
      by: operator(response.locals.by),
      action: 'unban',
      target: network,
      changed: 0,
    };
    const [removed] = await executor.exec([unban(network), audited(entry)]);
    response.json({ network, removed: removed === 1 });
  });
}

const operator = (by: unknown) => String(by ?? 'loopback');
const iso = (time: number) => new Date(time).toISOString();
