import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Config, reportsTo } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import { isDmarcRecord, organisationByList, readDmarcRecord } from '@waypost/msgauth';
import type { Executor } from '@waypost/redis';
import { buildDmarcReport, forgetDmarc, type ReportSubject, rangeOf, readDmarc, reportId } from '@waypost/reports';
import type { Report, ReportKind } from './report.js';

export interface DmarcReportsDeps {
  readonly config: () => Config;
  readonly executor: Executor;
  readonly resolver: Pick<MailResolver, 'resolveTxt'>;
}

const compress = promisify(gzip);

/** DMARC aggregate reports (RFC 7489 §7.2, RFC 9990): to domains that ask for them, what of the mail in their name was authentic. */
export function dmarcReports({ config, executor, resolver }: DmarcReportsDeps): ReportKind {
  return {
    name: 'dmarc',
    forget: (subject) => [forgetDmarc(subject)],
    make: async (subject) => {
      const { reports, server } = config();
      if (!reportsTo(reports, 'dmarc', subject.domain)) return undefined;
      const counted = await readDmarc(executor, subject);
      if (!counted) return undefined;
      // Who wants it now: the record may have changed since the day.
      const places = await placesOf(subject.domain, resolver);
      const { organization = server.hostname, from = '', contact } = reports;
      const id = reportId(subject, server.hostname);
      const xml = buildDmarcReport({ id, organization, email: from, contact, day: subject.day, ...counted });
      const content = await compress(xml);
      const to = places.filter(({ most }) => content.length <= most).map(({ uri }) => uri);
      if (to.length === 0) return undefined;
      return toReport(subject, { id, to, content, submitter: server.hostname, organization });
    },
  };
}

interface Place {
  readonly uri: string;
  /** Octets it takes at most. */
  readonly most: number;
}

/** Places that are looked at; each outside the domain costs a question to DNS. */
const MOST_PLACES = 10;

/** @returns where a domain wants its reports, of those places that agree to get them. */
export async function placesOf(domain: string, resolver: Pick<MailResolver, 'resolveTxt'>): Promise<Place[]> {
  const texts = (await resolver.resolveTxt(`_dmarc.${domain}`)).filter(isDmarcRecord);
  const record = texts.length === 1 ? readDmarcRecord(texts[0] ?? '') : undefined;
  const places: Place[] = [];
  for (const rua of record?.rua.slice(0, MOST_PLACES) ?? []) {
    const place = readPlace(rua);
    const host = place && hostOf(place.uri);
    if (!place || !host) continue;
    if (organisationByList(host) === organisationByList(domain)) places.push(place);
    else if (await agrees(host, domain, resolver)) places.push(place);
  }
  return places;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `mailto:dmarc@example.com!10m`: a size may follow (RFC 7489 §6.4). */
function readPlace(rua: string): Place | undefined {
  const match = /^(mailto:[^!]+|https:\/\/[^!]+)(?:!(\d{1,15})([kmgt]?))?$/i.exec(rua);
  if (!match?.[1]) return undefined;
  const [, uri, size, unit = ''] = match;
  return { uri, most: size === undefined ? Number.POSITIVE_INFINITY : Number(size) * (UNITS[unit.toLowerCase()] ?? 1) };
}

function hostOf(uri: string): string | undefined {
  try {
    const host = /^mailto:/i.test(uri)
      ? decodeURIComponent(uri.replace(/[?].*$/s, '')).split('@')[1]
      : new URL(uri).hostname;
    return host && /^[a-z0-9_.-]+$/i.test(host) ? host.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}

/** A host outside the domain has to say that it takes the domain's reports, lest anybody be flooded with them (RFC 7489 §7.1). */
async function agrees(host: string, domain: string, resolver: Pick<MailResolver, 'resolveTxt'>): Promise<boolean> {
  const name = `${domain}._report._dmarc.${host}`;
  return name.length <= 253 && (await resolver.resolveTxt(name)).some(isDmarcRecord);
}

interface Making extends Pick<Report, 'id' | 'to'> {
  readonly content: Buffer;
  readonly submitter: string;
  readonly organization: string;
}

/** RFC 7489 §7.2.1.1. */
function toReport({ domain, day }: ReportSubject, { id, to, content, submitter, organization }: Making): Report {
  const { start, end } = rangeOf(day);
  return {
    id,
    to,
    subject: `Report Domain: ${domain} Submitter: ${submitter} Report-ID: <${id}>`,
    text: `This is the DMARC aggregate report of ${organization} about mail from ${domain} on ${day} (UTC).\n`,
    file: {
      name: `${submitter}!${domain}!${start / 1000}!${end / 1000 - 1}.xml.gz`,
      type: 'application/gzip',
      content,
    },
  };
}
