import { acceptHabit, HABIT_ALPHA, listHabits } from '@waypost/abuse';
import type { Executor } from '@waypost/redis';
import express, { type Express } from 'express';
import { audited } from './queue/audit.js';
import { InputError } from './queue/input.js';

/** Habits that one answer shows. */
const SHOWN = 1000;

/** What credentials use to send, and which are held for sending far more. */
export function addHabitRoutes(app: Express, { executor }: { readonly executor: Executor }): void {
  const json = express.json({ limit: 16_384, type: 'application/json' });
  app.get('/admin/v1/habits', async (_request, response) => {
    const habits = await listHabits(executor, SHOWN, HABIT_ALPHA);
    const data = habits.map(({ heldTill, lastSent, mean, peak, ...one }) => ({
      ...one,
      mean: Math.round(mean),
      peak: Math.round(peak),
      last_sent: iso(lastSent),
      held_till: heldTill === undefined ? null : iso(heldTill),
    }));
    response.json({ data });
  });
  app.post('/admin/v1/habits/reset', json, async (request, response) => {
    const { credential } = (request.body ?? {}) as { credential?: unknown };
    if (typeof credential !== 'string' || credential === '' || credential.length > 200) {
      throw new InputError('credential: give the id of a key');
    }
    const by = String(response.locals.by ?? 'loopback');
    const entry = { at: iso(Date.now()), by, action: 'reset habit', target: credential, changed: 0 };
    const [known] = await executor.exec([acceptHabit(credential), audited(entry)]);
    response.json({ credential, known: known === 1 });
  });
}

const iso = (time: number) => new Date(time).toISOString();
