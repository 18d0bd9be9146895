import type { DsnAction } from './dsn-types.js';
import type { Notify } from './envelope.js';

/**
 * Decides whether a recipient gets a DSN (RFC 3461 §4.1, §5.2, §6.2): never for a null reverse-path, so never for a
 * DSN; never against NOTIFY; without NOTIFY for failures and delays.
 */
export function wantsDsn(action: DsnAction, sender: string, notify: readonly Notify[] | undefined): boolean {
  if (sender === '') return false;
  if (!notify) return action === 'failed' || action === 'delayed';
  if (notify.includes('NEVER')) return false;
  if (action === 'failed') return notify.includes('FAILURE');
  if (action === 'delayed') return notify.includes('DELAY');
  return notify.includes('SUCCESS');
}

/** What happened to one recipient. */
export interface DsnOccasion {
  /** Index into the envelope's recipients. */
  readonly i: number;
  readonly event: 'failed' | 'delayed' | 'delivered';
  readonly notify?: readonly Notify[];
  /**
   * For `delivered`: a mailbox (LMTP, maildir), a next hop that was handed the DSN parameters and will report itself,
   * or one that does not speak DSN.
   */
  readonly takenBy?: 'mailbox' | 'dsn-host' | 'other-host';
  /** For `delayed`: a DSN said so before. */
  readonly delayNotified?: boolean;
}

export interface DsnDecision {
  readonly action: DsnAction;
  /** Indexes of the recipients that go into one DSN of this action. */
  readonly recipients: readonly number[];
}

/**
 * Decides which DSNs are due, one for each action (RFC 3461 §6.2, §5.2.2–5.2.6).
 * @param message `automatic` (see isAutomatic) keeps delays from machines and lists that did not ask; failures always
 *   tell them, as a list lives by its bounces.
 */
export function decideDsn(
  message: { readonly sender: string; readonly automatic?: boolean },
  occasions: readonly DsnOccasion[],
): DsnDecision[] {
  const due = new Map<DsnAction, number[]>();
  for (const occasion of occasions) {
    const action = actionOf(occasion);
    if (!action || !wantsDsn(action, message.sender, occasion.notify)) continue;
    if (action === 'delayed' && message.automatic && !occasion.notify) continue;
    const listed = due.get(action);
    if (listed) listed.push(occasion.i);
    else due.set(action, [occasion.i]);
  }
  return [...due].map(([action, recipients]) => ({ action, recipients }));
}

function actionOf(occasion: DsnOccasion): DsnAction | undefined {
  if (occasion.event === 'failed') return 'failed';
  if (occasion.event === 'delayed') return occasion.delayNotified ? undefined : 'delayed';
  if (occasion.takenBy === 'mailbox') return 'delivered';
  return occasion.takenBy === 'other-host' ? 'relayed' : undefined;
}
