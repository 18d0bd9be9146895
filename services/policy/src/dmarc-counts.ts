import { type Config, reportsTo } from '@waypost/config';
import { domainOf } from '@waypost/mail';
import type { Executor } from '@waypost/redis';
import { DmarcCollector, type DmarcMessage } from '@waypost/reports';
import type { Runtime } from '@waypost/runtime';
import type { AuthenticatedMessage } from './checks/auth.js';

export interface DmarcCountsDeps {
  readonly config: () => Config;
  readonly executor: Executor;
  readonly runtime: Pick<Runtime, 'log'>;
}

/** Signatures of one message that a report tells of. */
const SIGNATURES = 10;
const LONGEST = 255;
/** Messages that are known to be counted. */
const REMEMBERED = 10_000;

/** Counts authenticated mail for the reports to its authors' domains. */
export interface DmarcCounter {
  start(): void;
  note(message: AuthenticatedMessage): void;
  stop(): Promise<void>;
}

export function createDmarcCounter({ config, executor, runtime }: DmarcCountsDeps): DmarcCounter {
  const collector = new DmarcCollector({
    executor,
    settings: () => {
      const { reports } = config();
      return { window: reports.window, goesTo: (domain) => reportsTo(reports, 'dmarc', domain) };
    },
    onError: (error) => runtime.log.warn({ error: error.message }, 'mail could not be counted for DMARC reports yet'),
  });
  // A message that has to wait is judged again, and counts once.
  const counted = new Set<string>();
  return {
    start: () => collector.start(),
    stop: () => collector.stop(),
    note: (message) => {
      if (config().reports.from === undefined || counted.has(message.id)) return;
      const what = toDmarcMessage(message, config().auth.dmarc.org_domain);
      if (!what) return;
      collector.note(what);
      counted.add(message.id);
      for (const oldest of counted) {
        if (counted.size <= REMEMBERED) break;
        counted.delete(oldest);
      }
    },
  };
}

/** @returns what is counted of a message; undefined where nobody wants to know, or nothing could be told of it. */
function toDmarcMessage(message: AuthenticatedMessage, way: 'psl' | 'tree_walk'): DmarcMessage | undefined {
  const { found, applied, remoteAddress, sender, at } = message;
  const { dmarc, spf, dkim } = found;
  const { record, policyDomain } = dmarc;
  const judged = dmarc.result === 'pass' || dmarc.result === 'fail';
  if (!judged || !record || !policyDomain || record.rua.length === 0) return undefined;
  const { p, sp, np, adkim, aspf, pct, testing, fo } = record;
  return {
    at,
    policy: { domain: policyDomain, p, sp, np, adkim, aspf, pct, testing, fo, way },
    row: {
      sourceIp: remoteAddress.replace(/^::ffff:(?=\d+\.)/i, ''),
      disposition: applied.disposition,
      dkim: dmarc.alignedDkim.length > 0 ? 'pass' : 'fail',
      spf: dmarc.alignedSpf ? 'pass' : 'fail',
      reasons: applied.overrides,
      headerFrom: dmarc.domain,
      envelopeFrom: domainOf(sender),
      signatures: dkim
        .filter(({ domain }) => domain !== '')
        .slice(0, SIGNATURES)
        .map(({ domain, selector, result }) => ({ domain, selector, result })),
      sender: {
        domain: spf.domain.slice(0, LONGEST),
        scope: spf.identity === 'helo' ? 'helo' : 'mfrom',
        result: spf.result,
      },
    },
  };
}
