import { rangeOf } from '../subject.js';

export type DmarcDisposition = 'none' | 'quarantine' | 'reject';

/** What was published when the mail came. */
export interface PublishedPolicy {
  readonly domain: string;
  readonly p: DmarcDisposition;
  readonly sp: DmarcDisposition;
  readonly np: DmarcDisposition;
  readonly adkim: 'r' | 's';
  readonly aspf: 'r' | 's';
  readonly pct: number;
  readonly testing: boolean;
  readonly fo: string;
  /** How the policy was found: by the Public Suffix List (RFC 7489) or by a tree walk (RFC 9989). */
  readonly way: 'psl' | 'tree_walk';
}

/** Messages that are alike in all of this. */
export interface DmarcRow {
  readonly sourceIp: string;
  /** What was done. */
  readonly disposition: DmarcDisposition;
  /** Whether an aligned signature or SPF result passed. */
  readonly dkim: 'pass' | 'fail';
  readonly spf: 'pass' | 'fail';
  /** Why it was not done as published. */
  readonly reasons: readonly { readonly type: string; readonly comment?: string }[];
  readonly headerFrom: string;
  readonly envelopeFrom: string;
  readonly signatures: readonly { readonly domain: string; readonly selector: string; readonly result: string }[];
  readonly sender: { readonly domain: string; readonly scope: 'helo' | 'mfrom'; readonly result: string };
}

export interface CountedDmarcRow extends DmarcRow {
  readonly count: number;
}

export interface DmarcReportFacts {
  readonly id: string;
  readonly organization: string;
  readonly email: string;
  readonly contact?: string | undefined;
  /** UTC, `2026-11-25`. */
  readonly day: string;
  readonly policy: PublishedPolicy;
  readonly rows: readonly CountedDmarcRow[];
  /** Messages that found no room in the rows. */
  readonly unlisted: number;
}

type Node = readonly [name: string, content: string | number | readonly Node[]];

/** @returns an aggregate report in XML: by RFC 7489, appendix C, or by RFC 9990 where policies are found its way. */
export function buildDmarcReport({ policy, rows, unlisted, day, ...about }: DmarcReportFacts): string {
  const { start, end } = rangeOf(day);
  const range: Node = ['date_range', [node('begin', start / 1000), node('end', end / 1000 - 1)]];
  const metadata: Node[] = [
    ['org_name', about.organization],
    ['email', about.email],
    ...(about.contact ? [node('extra_contact_info', about.contact)] : []),
    ['report_id', about.id],
    range,
    ...(unlisted > 0
      ? [node('error', `${unlisted} messages more, which differ too much from each other to be listed`)]
      : []),
  ];
  const nodes: Node[] = [
    ['version', '1.0'],
    ['report_metadata', metadata],
    ['policy_published', published(policy)],
    ...rows.map((row): Node => ['record', record(row)]),
  ];
  const space = policy.way === 'tree_walk' ? ' xmlns="urn:ietf:params:xml:ns:dmarc-2.0"' : '';
  return `<?xml version="1.0" encoding="UTF-8"?>\n<feedback${space}>\n${nodes.map((one) => xml(one, 1)).join('')}</feedback>\n`;
}

const node = (name: string, content: string | number | readonly Node[]): Node => [name, content];

function published({ domain, p, sp, np, adkim, aspf, pct, testing, fo, way }: PublishedPolicy): Node[] {
  const alignment = [node('adkim', adkim), node('aspf', aspf)];
  if (way === 'psl') return [node('domain', domain), ...alignment, ['p', p], ['sp', sp], ['pct', pct], ['fo', fo]];
  const policies = [node('p', p), node('sp', sp), node('np', np)];
  const rest = [node('fo', fo), node('testing', testing ? 'y' : 'n'), node('discovery_method', 'treewalk')];
  return [node('domain', domain), ...policies, ...alignment, ...rest];
}

function record({ count, sourceIp, disposition, dkim, spf, reasons, ...row }: CountedDmarcRow): Node[] {
  const evaluated: Node[] = [
    ['disposition', disposition],
    ['dkim', dkim],
    ['spf', spf],
    ...reasons.map(
      ({ type, comment }): Node => ['reason', [['type', type], ...(comment ? [node('comment', comment)] : [])]],
    ),
  ];
  return [
    [
      'row',
      [
        ['source_ip', sourceIp],
        ['count', count],
        ['policy_evaluated', evaluated],
      ],
    ],
    [
      'identifiers',
      [
        ['envelope_from', row.envelopeFrom],
        ['header_from', row.headerFrom],
      ],
    ],
    [
      'auth_results',
      [
        ...row.signatures.map(({ domain, selector, result }): Node => {
          return [
            'dkim',
            [
              ['domain', domain],
              ['selector', selector],
              ['result', result],
            ],
          ];
        }),
        [
          'spf',
          [
            ['domain', row.sender.domain],
            ['scope', row.sender.scope],
            ['result', row.sender.result],
          ],
        ],
      ],
    ],
  ];
}

function xml([name, content]: Node, depth: number): string {
  const indent = '  '.repeat(depth);
  if (typeof content !== 'object') return `${indent}<${name}>${escaped(String(content))}</${name}>\n`;
  return `${indent}<${name}>\n${content.map((child) => xml(child, depth + 1)).join('')}${indent}</${name}>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Strangers' words: what XML 1.0 has no way to write becomes a question mark. */
const escaped = (text: string) =>
  text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?')
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
