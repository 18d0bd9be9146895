import { createHash } from 'node:crypto';
import type { GreylistSettings } from '@waypost/config';
import { domainOf } from '@waypost/mail';
import type { Executor } from '@waypost/redis';
import { prefixOf } from '../ip.js';
import { greyScript } from './script.js';

/** Who writes to whom, from where. */
export interface Triplet {
  readonly address: string;
  /** The reverse-path; '' is the null one. */
  readonly sender: string;
  readonly recipient: string;
}

/**
 * Puts off who writes for the first time: who means it comes again. Known to all processes; one script a question. Addresses
 * are kept as hashes only.
 */
export class Greylist {
  constructor(
    private readonly executor: Executor,
    private readonly settings: () => GreylistSettings,
  ) {}

  /**
   * @returns seconds after which it may come again; undefined where it may pass. While Redis is away all may, as no mail is
   *   taken then anyway.
   */
  async ask({ address, sender, recipient }: Triplet): Promise<number | undefined> {
    const { ipv4_prefix, ipv6_prefix, delay, retry_window, lifetime, clients_after, max_entries } = this.settings();
    const client = prefixOf(address, { ipv4: ipv4_prefix, ipv6: ipv6_prefix }) ?? address;
    const triplet = createHash('sha256')
      .update([client, senderOf(sender), recipient.toLowerCase()].join('\n'))
      .digest('base64')
      .slice(0, 22);
    const args = [triplet, client, delay, retry_window, lifetime, clients_after, max_entries];
    try {
      const [[pass, wait]] = (await this.executor.exec([{ name: greyScript.name, script: greyScript, args }])) as [
        [number, number],
      ];
      return pass === 1 ? undefined : Math.max(1, Math.ceil(wait / 1000));
    } catch {
      return undefined;
    }
  }
}

/** What changes from message to message in the senders of lists, VERP and BATV, is left out. */
function senderOf(sender: string): string {
  const at = sender.lastIndexOf('@');
  if (at < 0) return '';
  const local = sender
    .slice(0, at)
    .toLowerCase()
    .replace(/^prvs=\d{4}[0-9a-f]{6}=/, '')
    .replace(/[+].*$/, '')
    .replace(/\d{3,}/g, '#');
  return `${local}@${domainOf(sender)}`;
}
