import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { buildDmarcReport, type DmarcDisposition } from '@waypost/reports';
import { XMLParser } from 'fast-xml-parser';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const FOLDER = 'reports-stalwart';
const folder = fixtures(FOLDER) && join(fixtures(FOLDER) ?? '', 'dmarc-feedback');
const MANY = new Set(['record', 'reason', 'auth_results.dkim', 'auth_results.spf']);
const parser = new XMLParser({
  parseTagValue: false,
  isArray: (name, path) => MANY.has(name) || MANY.has(String(path).split('.').slice(-2).join('.')),
});

// biome-ignore lint/suspicious/noExplicitAny: other people's JSON
type Json = any;

const low = (text: string | null | undefined) => (text ?? 'none').toLowerCase();
/** The set names what is not said `Unspecified`. */
const alignment = (text: string) => (text === 'Strict' ? 's' : 'r');

/** What we would have been asked to report, had we made the report. */
function factsOf({ report_metadata: about, policy_published: policy, record }: Json) {
  return {
    id: about.report_id,
    organization: about.org_name,
    email: about.email,
    contact: about.extra_contact_info ?? undefined,
    day: '2026-11-25',
    unlisted: 0,
    policy: {
      domain: policy.domain,
      p: low(policy.p) as DmarcDisposition,
      sp: low(policy.sp) as DmarcDisposition,
      np: low(policy.p) as DmarcDisposition,
      adkim: alignment(policy.adkim) as 'r' | 's',
      aspf: alignment(policy.aspf) as 'r' | 's',
      pct: 100,
      testing: policy.testing,
      fo: policy.fo ?? '0',
      way: 'psl' as const,
    },
    rows: record.map(({ row, identifiers, auth_results: auth }: Json) => ({
      sourceIp: row.source_ip,
      count: row.count,
      disposition: low(row.policy_evaluated.disposition) as DmarcDisposition,
      dkim: low(row.policy_evaluated.dkim) as 'pass' | 'fail',
      spf: low(row.policy_evaluated.spf) as 'pass' | 'fail',
      reasons: row.policy_evaluated.reason.map(({ type, comment }: Json) => ({ type: low(type), comment })),
      headerFrom: identifiers.header_from,
      envelopeFrom: identifiers.envelope_from,
      signatures: auth.dkim.map(({ domain, selector, result }: Json) => ({ domain, selector, result: low(result) })),
      sender: { domain: auth.spf[0]?.domain ?? '', scope: 'mfrom' as const, result: low(auth.spf[0]?.result) },
    })),
  };
}

async function xmlOf(file: string): Promise<string> {
  const content = readFileSync(file);
  if (file.endsWith('.xml')) return content.toString();
  const { attachments } = await simpleParser(content);
  const [part] = attachments.filter(({ content: octets }) => octets[0] === 0x1f && octets[1] === 0x8b);
  return part ? gunzipSync(part.content).toString() : '';
}

/** Names of the elements of a document with what they are in. */
function elements(value: Json, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => elements(one, path));
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    name.startsWith('?') ? [] : elements(inner, `${path}/${name}`),
  );
}

/** RFC 7489, appendix C, has them; the senders of the set leave them out. */
const OURS = ['/feedback/version', '/feedback/policy_published/fo', '/feedback/record/auth_results/spf/scope'];

describe.skipIf(!folder)(`DMARC aggregate reports as others write them (needs ../shared/fixtures/${FOLDER})`, () => {
  const names = folder ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

  it('has its cases', () => {
    expect(names.length).toBe(10);
  });

  it.each(names)('%s: what it says is read back from ours', async (name) => {
    const wanted = JSON.parse(readFileSync(join(folder ?? '', name), 'utf8')) as Json;
    const facts = factsOf(wanted);
    const { feedback } = parser.parse(buildDmarcReport(facts)) as Json;
    expect(feedback.report_metadata).toMatchObject({
      org_name: wanted.report_metadata.org_name,
      email: wanted.report_metadata.email,
      report_id: wanted.report_metadata.report_id,
    });
    expect(feedback.policy_published.domain).toBe(wanted.policy_published.domain);
    expect(feedback.record).toHaveLength(wanted.record.length);
    for (const [i, { row, identifiers, auth_results: auth }] of (feedback.record as Json[]).entries()) {
      const one = wanted.record[i];
      expect({ ip: row.source_ip, count: Number(row.count) }).toEqual({ ip: one.row.source_ip, count: one.row.count });
      expect(row.policy_evaluated.disposition).toBe(low(one.row.policy_evaluated.disposition));
      expect(identifiers.header_from).toBe(one.identifiers.header_from);
      expect((auth.dkim ?? []).map(({ domain }: Json) => domain)).toEqual(
        one.auth_results.dkim.map(({ domain }: Json) => domain),
      );
      if (one.auth_results.spf[0]) expect(auth.spf[0].domain).toBe(one.auth_results.spf[0].domain);
    }
  });

  it('knows no element that they do not', async () => {
    const files = readdirSync(folder ?? '').filter((name) => /\.(?:xml|eml)$/.test(name));
    const theirs = new Set<string>();
    for (const file of files) {
      const xml = await xmlOf(join(folder ?? '', file));
      if (xml) for (const element of elements(parser.parse(xml))) theirs.add(element);
    }
    for (const name of names) {
      const facts = factsOf(JSON.parse(readFileSync(join(folder ?? '', name), 'utf8')));
      for (const way of ['psl', 'tree_walk'] as const) {
        const ours = elements(parser.parse(buildDmarcReport({ ...facts, policy: { ...facts.policy, way } })));
        const strange = [...new Set(ours)].filter((element) => !theirs.has(element) && !OURS.includes(element));
        // RFC 9990 has them besides.
        const newer = ['np', 'testing', 'discovery_method'].map((one) => `/feedback/policy_published/${one}`);
        expect(strange.filter((element) => way === 'psl' || !newer.includes(element))).toEqual([]);
      }
    }
  });
});

describe('DMARC aggregate reports', () => {
  it('cannot be broken by what strangers wrote', () => {
    const nasty = '</domain><evil a="1">&\u0000\ud800\'';
    const xml = buildDmarcReport({
      id: nasty,
      organization: nasty,
      email: nasty,
      day: '2026-11-25',
      unlisted: 3,
      policy: {
        domain: nasty,
        p: 'none',
        sp: 'none',
        np: 'none',
        adkim: 'r',
        aspf: 'r',
        pct: 100,
        testing: false,
        fo: nasty,
        way: 'psl',
      },
      rows: [],
    });
    const { feedback } = parser.parse(xml) as Json;
    expect(Object.keys(feedback)).toEqual(['version', 'report_metadata', 'policy_published']);
    expect(feedback.policy_published.domain).toBe('</domain><evil a="1">&??\'');
    expect(feedback.report_metadata.error).toMatch(/^3 messages more/);
    expect(feedback.report_metadata.date_range).toEqual({ begin: '1795564800', end: '1795651199' });
  });
});
