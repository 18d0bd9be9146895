import type { ProviderRule } from '@waypost/config';

/**
 * What large mailbox providers are known to want, as a cautious start that feedback then corrects. A provider of the same
 * name in the configuration takes the place of one here.
 *
 * Sources, read in November 2026: the providers' own pages (named at each entry) and the shaping tables that the KumoMTA
 * community keeps (github.com/KumoCorp/kumomta, assets/policy-extras/shaping.toml and assets/community/shaping.toml at
 * commit 3ebc1e85, Apache-2.0), from which the figures come where a provider publishes none.
 */
export const PROVIDERS: readonly ProviderRule[] = [
  {
    // support.google.com/mail/answer/81126: TLS is asked for, unusual rates are answered 421 4.7.28.
    name: 'google',
    mx: ['*.google.com', '*.googlemail.com'],
    connections: 5,
    messages_per_connection: 50,
    tls: 'required',
    replies: [
      { status: '4.7.28', code: '421', after: anHour(5), action: 'suspend', scope: 'source', for: hours(1) },
      {
        text: 'unusual rate',
        after: anHour(2),
        action: 'slow',
        scope: 'source',
        for: minutes(30),
        rate: perMinute(10),
      },
    ],
  },
  {
    // senders.yahooinc.com/smtp-error-codes: [TSnn] codes tell why mail is put off.
    name: 'yahoo',
    mx: ['*.yahoodns.net'],
    messages_per_connection: 20,
    replies: [
      {
        text: '\\[(?:TSS|IPTS|TS)04\\]',
        after: anHour(2),
        action: 'suspend',
        scope: 'source',
        for: hours(2),
      },
      { text: '\\[(?:TSS|IPTS)05\\]', after: anHour(2), action: 'suspend', scope: 'source', for: hours(4) },
      {
        text: '\\[TS0[123]\\]',
        after: anHour(3),
        action: 'slow',
        scope: 'source',
        for: minutes(30),
        rate: perMinute(10),
      },
      { text: '\\[BL\\d+\\]', code: '5xx', after: anHour(5), action: 'suspend', scope: 'source', for: hours(2) },
    ],
  },
  {
    // sendersupport.olc.protection.outlook.com/pm/troubleshooting: consumer mailboxes.
    name: 'outlook',
    mx: ['*.olc.protection.outlook.com'],
    connections: 5,
    messages_per_connection: 50,
    replies: [
      { text: '\\bS3140\\b|\\bS3150\\b', after: anHour(5), action: 'suspend', scope: 'source', for: hours(2) },
      {
        text: '\\b(?:IB007|RP-00[123])\\b|rate limited|maximum number of connections',
        after: anHour(3),
        action: 'slow',
        scope: 'source',
        for: hours(1),
        connections: 1,
      },
    ],
  },
  {
    // learn.microsoft.com, "Exchange Online limits" and RestrictDomainSendingLimits: 451 4.7.5xx is a throttle.
    name: 'office365',
    mx: ['*.mail.protection.outlook.com', '*.mx.microsoft'],
    connections: 5,
    messages_per_connection: 50,
    replies: [
      {
        status: '4.7.500',
        after: anHour(5),
        action: 'slow',
        scope: 'source',
        for: minutes(15),
        rate: perMinute(10),
      },
    ],
  },
  {
    // support.apple.com/102322
    name: 'apple',
    mx: ['*.icloud.com'],
    connections: 10,
    messages_per_connection: 5,
    replies: [
      {
        text: '\\[(?:BS02|HCM1)\\]',
        after: anHour(5),
        action: 'suspend',
        scope: 'source',
        for: minutes(15),
      },
    ],
  },
  {
    // postmaster.comcast.net/smtp-error-codes.php: RLnnnnnn codes are rate limits.
    name: 'comcast',
    mx: ['*.comcast.net'],
    connections: 25,
    messages_per_connection: 1000,
    tls: 'required',
    replies: [{ text: '\\bRL\\d{6}\\b', action: 'suspend', scope: 'source', for: minutes(5) }],
  },
  {
    // Each of its regions has gateways, and so limits, of its own.
    name: 'mimecast',
    mx: ['*.mimecast.com', '*.mimecast.co.za', '*.mimecast-offshore.com'],
    site_connections: 10,
    messages_per_connection: 100,
    replies: [],
  },
  {
    // messagerie.orange.fr/postmaster.html: OFR_nnn codes.
    name: 'orange',
    mx: ['*.orange.fr'],
    connections: 2,
    messages_per_connection: 100,
    tls: 'required',
    replies: [
      { text: '\\bOFR?[_-]?10[45]\\b', after: anHour(2), action: 'suspend', scope: 'source', for: minutes(30) },
    ],
  },
  {
    // postmaster.gmx.net and postmaster.web.de
    name: 'gmx',
    mx: ['*.gmx.net', '*.web.de'],
    site_connections: 4,
    messages_per_connection: 20,
    tls: 'required',
    replies: [
      {
        text: 'too many connections',
        after: anHour(3),
        action: 'slow',
        scope: 'source',
        for: minutes(30),
        connections: 1,
      },
    ],
  },
  {
    name: 'yahoo-japan',
    mx: ['*.yahoo.co.jp'],
    connections: 2,
    rate: [{ limit: 10, period: 1000 }],
    messages_per_connection: 20,
    replies: [
      {
        text: '\\[(?:TSS|IPTS)04\\]|VS98-IP0',
        after: anHour(2),
        action: 'suspend',
        scope: 'source',
        for: hours(1),
      },
    ],
  },
];

/** What any remote may say when it has had enough; tried after a provider's own. */
export const COMMON_REPLIES: ProviderRule['replies'] = [
  {
    text: 'temporarily deferred|rate limited due to IP reputation|permanently deferred',
    code: '4xx',
    after: anHour(3),
    action: 'slow',
    scope: 'source',
    for: minutes(90),
    rate: perMinute(1),
    connections: 1,
  },
];

function anHour(limit: number) {
  return { limit, period: hours(1) };
}

function hours(count: number): number {
  return count * 3_600_000;
}

function minutes(count: number): number {
  return count * 60_000;
}

function perMinute(limit: number) {
  return [{ limit, period: 60_000 }];
}
