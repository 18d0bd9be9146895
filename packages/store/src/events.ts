import type { MessageEvent } from '@waypost/mail';
import type { Command } from '@waypost/redis';

/** The stream of all messages' transitions: one entry a transaction, its `e` fields one event each. */
export const EVENT_STREAM = 'wp:events';
/** Entries kept; a consumer further behind than this has lost some. */
export const EVENTS_KEPT = 200_000;

/** @returns the command that publishes events; none for an empty list. */
export function publishEvents(events: readonly MessageEvent[]): Command[] {
  if (events.length === 0) return [];
  const fields = events.flatMap((event) => ['e', JSON.stringify(event)]);
  return [{ name: 'xadd', args: [EVENT_STREAM, 'MAXLEN', '~', EVENTS_KEPT, '*', ...fields] }];
}
