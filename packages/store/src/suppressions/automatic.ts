import type { SuppressionRule } from '@waypost/config';
import { type BounceCause, isHardCause } from '@waypost/mail';
import type { Command } from '@waypost/redis';
import type { SuppressionStore } from './store.js';

/** The `suppressions` section of the configuration. */
export interface SuppressionSettings {
  readonly automatic: boolean;
  readonly causes: Partial<Record<BounceCause, SuppressionRule>>;
  readonly max_entries: number;
}

/** That an address bounced, or its owner complained. */
export interface Incident {
  readonly address: string;
  readonly cause: BounceCause;
  /** The host meant it for good. */
  readonly hard: boolean;
  readonly reason: string;
  readonly message: string;
  readonly at: number;
  /** Whose mail it was; a complaint is about that tenant's alone. */
  readonly tenant?: string | undefined;
}

/** @returns the commands that suppress an address by the rules; none where no rule says so. */
export function suppressFor(incident: Incident, store: SuppressionStore, settings: SuppressionSettings): Command[] {
  const { address, cause, hard, reason, message, at, tenant } = incident;
  const rule = settings.causes[cause];
  // A cause that is for good by its name, and that the host meant for now, is none.
  if (!settings.automatic || !rule || rule.for === 0 || (isHardCause(cause) && !hard)) return [];
  const entry = {
    address,
    cause,
    reason,
    message,
    at,
    ...(Number.isFinite(rule.for) ? { expires: at + rule.for } : {}),
    ...(cause === 'feedback' && tenant ? { tenant } : {}),
  };
  return [store.add(entry, { maxEntries: settings.max_entries, after: rule.after })];
}
