import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Config, reportsTo } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import type { Executor } from '@waypost/redis';
import {
  buildTlsReport,
  forgetTls,
  parseTlsRptRecord,
  type ReportSubject,
  rangeOf,
  readTls,
  reportId,
} from '@waypost/reports';
import type { Report, ReportKind } from './report.js';

export interface TlsReportsDeps {
  readonly config: () => Config;
  readonly executor: Executor;
  readonly resolver: Pick<MailResolver, 'resolveTxt'>;
}

const compress = promisify(gzip);

/** TLS-RPT (RFC 8460): to domains that ask for it, how TLS fared with their mail exchangers. */
export function tlsReports({ config, executor, resolver }: TlsReportsDeps): ReportKind {
  return {
    name: 'tls',
    forget: (subject) => [forgetTls(subject)],
    make: async (subject) => {
      const { reports, server } = config();
      if (!reportsTo(reports, 'tls', subject.domain)) return undefined;
      const policies = await readTls(executor, subject);
      if (policies.length === 0) return undefined;
      // Who wants it now: the record may have changed since the day.
      const to = parseTlsRptRecord(await resolver.resolveTxt(`_smtp._tls.${subject.domain}`));
      if (to.length === 0) return undefined;
      const { organization = server.hostname, contact = reports.from ?? '' } = reports;
      const id = reportId(subject, server.hostname);
      const json = buildTlsReport({ id, organization, contact, day: subject.day, policies });
      const content = await compress(JSON.stringify(json));
      return toReport(subject, { id, to, content, submitter: server.hostname, organization });
    },
  };
}

interface Making extends Pick<Report, 'id' | 'to'> {
  readonly content: Buffer;
  readonly submitter: string;
  readonly organization: string;
}

/** RFC 8460 §5.3; the file's name by §5.1. */
function toReport({ domain, day }: ReportSubject, { id, to, content, submitter, organization }: Making): Report {
  const { start, end } = rangeOf(day);
  const name = `${submitter}!${domain}!${start / 1000}!${end / 1000 - 1}.json.gz`;
  return {
    id,
    to,
    subject: `Report Domain: ${domain} Submitter: ${submitter} Report-ID: <${id}>`,
    headers: [
      ['TLS-Report-Domain', domain],
      ['TLS-Report-Submitter', submitter],
    ],
    reportType: 'tlsrpt',
    text: `This is the TLS report of ${organization} about mail to ${domain} on ${day} (UTC), by RFC 8460.\n`,
    file: { name, type: 'application/tlsrpt+gzip', content },
    // TLS that fails is what it tells of (RFC 8460 §3).
    tlsOptional: true,
  };
}
