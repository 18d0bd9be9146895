import type { BodyRef } from '@waypost/mail';
import type { Command } from '@waypost/redis';
import type { Draft } from './port.js';

/** Where an inline body lives; in one cluster slot with the message's record. */
export const bodyKey = (id: string, variant?: string) => `wp:{${id}}:b${variant ? `:${variant}` : ''}`;

/** @returns what a body is called in a blob store and in the cache. */
export const bodyId = (id: string, { variant }: Pick<BodyRef, 'variant'>) => (variant ? `${id}.${variant}` : id);

/** @returns the commands that store a draft's inline body; none where a blob store has it already. */
export function inlineCommands(draft: Draft): Command[] {
  return draft.inline ? [{ name: 'set', args: [bodyKey(draft.id, draft.ref.variant), draft.inline] }] : [];
}
