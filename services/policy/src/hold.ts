import type { Config } from '@waypost/config';
import { ageFrom, type HoldNote, type MessageRecord } from '@waypost/mail';
import type { Evaluation } from './evaluate.js';

/** @returns why and until when a message is held: no longer than any message is kept. */
export function holdNote(
  { meta, judged }: MessageRecord,
  { by = '', reason = '', holdFor }: Evaluation,
  { held, delivery }: Pick<Config, 'held' | 'delivery'>,
  now: number,
): HoldNote {
  if (judged?.hold) return judged.hold;
  const longest = ageFrom(meta) + delivery.max_age;
  const wanted = holdFor ?? held.max_age;
  return { by, reason, since: now, until: wanted === undefined ? longest : Math.min(now + wanted, longest) };
}
