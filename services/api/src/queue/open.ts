import { isTerminal, type MessageRecord } from '@waypost/mail';

/** @returns whether a recipient of a message in a lane has not ended. */
export const isOpen = (record: MessageRecord | undefined, i: number): boolean =>
  !isTerminal(record?.recipients[i]?.state ?? 'queued');
