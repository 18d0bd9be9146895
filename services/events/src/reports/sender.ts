import type { Config } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import { type MessageMeta, parseMailbox } from '@waypost/mail';
import type { Executor } from '@waypost/redis';
import { noteReached, type ReportClaim } from '@waypost/reports';
import type { Runtime } from '@waypost/runtime';
import type { Spool } from '@waypost/spool';
import { type Arrival, type Committer, derivedMessageId } from '@waypost/store';
import { composeReport } from './compose.js';
import type { Report } from './report.js';
import { upload } from './upload.js';

export interface ReportSenderDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly executor: Executor;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly resolver: Pick<MailResolver, 'resolveAddresses'>;
}

/** Places that one report goes to at most; a record may name more than anybody reads. */
const PLACES = 5;

/**
 * Hands a report to those places that do not have it yet. A mail and the record that it is on its way are one transaction, so
 * that it is sent once whatever dies when; of an upload whose answer is lost nobody can tell, and it is made again.
 * @returns what went wrong, a sentence each; none where every place has it.
 */
export async function sendReport(report: Report, claim: ReportClaim, deps: ReportSenderDeps): Promise<string[]> {
  const failures: string[] = [];
  for (const place of [...new Set(report.to)].slice(0, PLACES)) {
    if (claim.reached.has(place)) continue;
    const way = /^mailto:/i.test(place) ? 'mail' : /^https:/i.test(place) ? 'https' : undefined;
    if (!way) continue;
    try {
      if (way === 'mail') await mail(report, place, claim, deps);
      else await uploadTo(report, place, claim, deps);
      deps.runtime.metrics.reports.inc({ kind: claim.subject.kind, way, result: 'sent' });
    } catch (error) {
      deps.runtime.metrics.reports.inc({ kind: claim.subject.kind, way, result: 'failed' });
      failures.push(`${place}: ${(error as Error).message}`);
    }
  }
  return failures;
}

async function uploadTo(report: Report, place: string, { subject }: ReportClaim, deps: ReportSenderDeps) {
  const { resolver, config, executor } = deps;
  await upload(place, report.file, { resolver, privateAddresses: config().reports.private_addresses });
  await executor.exec([noteReached(subject, place)]);
}

async function mail(report: Report, place: string, claim: ReportClaim, deps: ReportSenderDeps): Promise<void> {
  const { subject, since } = claim;
  const address = addressOf(place);
  // It will not become an address by being tried again.
  if (!address) return deps.runtime.log.info({ ...subject, place }, 'a report is asked for at what is no address');
  const arrival = await toArrival(report, { address, id: derivedMessageId(`${report.id} ${place}`, since) }, deps);
  const commands = [...deps.committer.commands([arrival], { once: true }), noteReached(subject, place)];
  await deps.executor.exec(commands, { refusable: true });
}

/** @returns the mailbox of a mailto URI (RFC 6068), whose header fields count nothing here. */
function addressOf(place: string): string | undefined {
  try {
    const address = decodeURIComponent(place.replace(/^mailto:/i, '').replace(/[?].*$/s, ''));
    return parseMailbox(address) && address;
  } catch {
    return undefined;
  }
}

/** @param to its id is the same for each try, so that a process that was believed dead does not send another one. */
async function toArrival(
  report: Report,
  { address, id }: { readonly address: string; readonly id: string },
  deps: ReportSenderDeps,
): Promise<Arrival> {
  const { server, reports } = deps.config();
  const from = reports.from ?? `postmaster@${server.hostname}`;
  const date = Date.now();
  const body = composeReport(report, { from, to: address, hostname: server.hostname, id, date });
  const draft = await deps.spool.store(id, body);
  const meta: MessageMeta = {
    id,
    envelope: {
      sender: from,
      // Nobody waits for news of it.
      recipients: [{ address, notify: ['NEVER'] }],
      ...(report.tlsOptional ? { tlsOptional: true } : {}),
    },
    origin: { kind: 'internal', listener: 'reports', protocol: 'ESMTP' },
    body: draft.ref,
    receivedAt: date,
    hops: 0,
    messageId: `<${id}@${server.hostname}>`,
    subject: report.subject,
    headerFrom: from,
  };
  return { meta, draft };
}
