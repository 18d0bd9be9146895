import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildTlsReport, dayOf, dueAt, parseTlsRptRecord, rangeOf, type TlsFailureDetail } from '@waypost/reports';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const dir = fixtures('reports-stalwart');

interface Fixture {
  readonly [key: string]: unknown;
  readonly policies: readonly {
    readonly policy: Record<string, unknown>;
    readonly summary: Record<string, number>;
    readonly 'failure-details'?: readonly Record<string, unknown>[];
  }[];
}

/** What one of the public examples says, as our own facts; what we never say is left out. */
function factsOf(report: Fixture) {
  return {
    id: report['report-id'] as string,
    organization: report['organization-name'] as string,
    contact: report['contact-info'] as string,
    day: (report['date-range'] as Record<string, string>)['start-datetime']?.slice(0, 10) as string,
    policies: report.policies.map(({ policy, summary, 'failure-details': failures = [] }) => ({
      policy: {
        type: policy['policy-type'] as 'sts',
        domain: policy['policy-domain'] as string,
        strings: policy['policy-string'] as string[],
        ...(policy['mx-host'] ? { mxHosts: policy['mx-host'] as string[] } : {}),
      },
      successes: summary['total-successful-session-count'] as number,
      failures: failures.map((failure) => ({
        type: failure['result-type'] as TlsFailureDetail['type'],
        sendingAddress: failure['sending-mta-ip'] as string,
        mx: failure['receiving-mx-hostname'] as string,
        receivingAddress: failure['receiving-ip'] as string,
        reason: failure['failure-reason-code'] as string,
        count: failure['failed-session-count'] as number,
      })),
    })),
  };
}

describe.skipIf(!dir)('a TLS report (needs the fixtures reports-stalwart)', () => {
  it.each(['rpt01.json', 'rpt02.json'])('has the form of %s', (name) => {
    const text = readFileSync(join(dir ?? '', 'tlsrpt', name), 'utf8');
    const example = JSON.parse(text, (key, value) => (key === 'additional-information' ? undefined : value)) as Fixture;
    const built = JSON.parse(JSON.stringify(buildTlsReport(factsOf(example))));
    expect(built.policies).toEqual(example.policies);
    expect(Object.keys(built).sort()).toEqual(Object.keys(example).sort());
    expect(built).toMatchObject({
      'organization-name': example['organization-name'],
      'contact-info': example['contact-info'],
      'report-id': example['report-id'],
    });
  });

  it('spans its day as rpt01.json does', () => {
    const example = JSON.parse(readFileSync(join(dir ?? '', 'tlsrpt', 'rpt01.json'), 'utf8')) as Fixture;
    expect(buildTlsReport(factsOf(example))['date-range']).toEqual(example['date-range']);
  });
});

describe('who wants TLS reports', () => {
  it.each<[string, string[], string[]]>([
    ['a mailbox', ['v=TLSRPTv1; rua=mailto:tls@example.com'], ['mailto:tls@example.com']],
    [
      'two places',
      ['v=TLSRPTv1;rua=https://r.example.com/v1, mailto:tls@example.com;'],
      ['https://r.example.com/v1', 'mailto:tls@example.com'],
    ],
    ['other records beside it', ['v=spf1 -all', 'v=TLSRPTv1; x=1; rua=mailto:a@b.example'], ['mailto:a@b.example']],
    ['two records, which count as none', ['v=TLSRPTv1; rua=mailto:a@b.c', 'v=TLSRPTv1; rua=mailto:d@b.c'], []],
    ['another version', ['v=TLSRPTv2; rua=mailto:a@b.c'], []],
    ['no place', ['v=TLSRPTv1'], []],
    ['ways we do not know', ['v=TLSRPTv1; rua=http://a.example/,ftp://a.example/,mailto:'], []],
    ['line breaks', ['v=TLSRPTv1; rua=mailto:a@b.c\r\nBcc: x@y.z'], []],
    ['nothing', [], []],
  ])('%s', (_, texts, expected) => expect(parseTlsRptRecord(texts)).toEqual(expected));

  it('does not look at more places than anybody reads', () => {
    const many = Array.from({ length: 100 }, (_, i) => `mailto:a${i}@b.example`).join(',');
    expect(parseTlsRptRecord([`v=TLSRPTv1; rua=${many}`])).toHaveLength(10);
  });
});

describe('when a report goes out', () => {
  const subject = (domain: string) => ({ kind: 'tls', day: '2026-02-28', domain }) as const;

  it('is after the end of its day, spread over the window, and always the same', () => {
    const end = Date.parse('2026-03-01T00:00:00Z');
    expect(rangeOf('2026-02-28').end).toBe(end);
    expect(dayOf(end - 1)).toBe('2026-02-28');
    const times = Array.from({ length: 500 }, (_, i) => dueAt(subject(`d${i}.example`), 3_600_000) - end - 600_000);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...times)).toBeLessThan(3_600_000);
    expect(new Set(times.map((time) => Math.floor(time / 360_000))).size).toBe(10);
    expect(dueAt(subject('d1.example'), 1000)).toBe(dueAt(subject('d1.example'), 1000));
  });
});
