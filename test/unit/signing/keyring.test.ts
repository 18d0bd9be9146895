import { generateKeyPairSync } from 'node:crypto';
import { loadConfig, readPrivateKey } from '@waypost/config';
import { ResolveError } from '@waypost/dns';
import { Keyring, recordText } from '@waypost/signing';
import { describe, expect, test } from 'vitest';

const pem = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const OLD = pem();
const NEW = pem();

interface Setting {
  readonly domains: readonly Record<string, unknown>[];
  readonly records?: Record<string, readonly string[] | 'broken'>;
  readonly now?: string;
}

async function selectors(setting: Setting, author: string, sender = '', tenant?: string): Promise<string> {
  const settings = loadConfig({ text: JSON.stringify({ dkim: { domains: setting.domains } }) }).dkim;
  const keyring = new Keyring({
    settings: () => settings,
    resolver: {
      resolveTxt: async (name) => {
        const found = setting.records?.[name] ?? [];
        if (found === 'broken') throw new ResolveError('temporary', 'no answer');
        return found;
      },
    },
    now: () => Date.parse(setting.now ?? '2026-11-25T12:00:00Z'),
  });
  const { keys, lacking } = await keyring.keysFor({ author, sender, tenant });
  const names = keys.map(({ selector, domain }) => `${selector}@${domain}`).join(' ');
  return lacking === undefined ? names : `${names} lacking`.trim();
}

const key = (selector: string, more: Record<string, unknown> = {}) => ({ selector, key: OLD, ...more });

describe('which entry signs', () => {
  const domains = [
    { match: 'example.com', tenant: 'acme', keys: [key('tenant')] },
    { match: 'example.com', keys: [key('own')] },
    { match: '*.example.com', domain: 'example.com', keys: [key('parent')] },
    { match: '*.example.net', keys: [key('each')] },
    { match: 'both.test', continue: true, keys: [key('first')] },
    { match: '*.both.test', keys: [key('never')] },
    { match: 'both.test', domain: 'relay.example', keys: [key('second')] },
  ];
  test.each([
    ['example.com', '', undefined, 'own@example.com'],
    ['example.com', '', 'acme', 'tenant@example.com'],
    ['a.b.example.com', '', undefined, 'parent@example.com'],
    ['mail.example.net', '', undefined, 'each@mail.example.net'],
    ['example.net', 'example.com', undefined, 'own@example.com'],
    ['', 'example.com', undefined, 'own@example.com'],
    ['example.com', 'mail.example.net', undefined, 'own@example.com'],
    ['both.test', '', undefined, 'first@both.test second@relay.example'],
    ['other.example', '', undefined, ''],
    ['', '', undefined, ''],
  ])('author %j, sender %j, tenant %j: %j', async (author, sender, tenant, expected) => {
    expect(await selectors({ domains }, author, sender, tenant)).toBe(expected);
  });
});

describe('keys with times', () => {
  const domains = [
    {
      match: 'example.com',
      keys: [key('a', { from: '2026-01-01', until: '2026-12-01' }), key('b', { from: '2026-11-01T00:00:00+01:00' })],
    },
  ];
  test.each([
    ['2025-12-31T23:59:59Z', ''],
    ['2026-01-01T00:00:00Z', 'a@example.com'],
    ['2026-10-31T22:59:59Z', 'a@example.com'],
    ['2026-10-31T23:00:00Z', 'a@example.com b@example.com'],
    ['2026-12-01T00:00:00Z', 'b@example.com'],
  ])('at %s: %j', async (now, expected) => expect(await selectors({ domains, now }, 'example.com')).toBe(expected));

  test('all past their time leave the domain without one, which is an error', async () => {
    const past = [{ match: 'example.com', keys: [key('a', { until: '2026-01-01' })] }];
    expect(await selectors({ domains: past }, 'example.com')).toBe('lacking');
  });
});

describe('a key that takes over from another', () => {
  const entry = (more: Record<string, unknown> = {}) => [
    { match: 'example.com', keys: [key('old'), { selector: 'new', key: NEW, replaces: 'old', ...more }] },
  ];
  const name = 'new._domainkey.example.com';
  test.each([
    ['has no record yet', {}, {}, 'old@example.com'],
    ['has its record', { [name]: [recordText(readPrivateKey(NEW))] }, {}, 'new@example.com'],
    ['finds another key there', { [name]: [recordText(readPrivateKey(OLD))] }, {}, 'old@example.com'],
    ['cannot ask DNS', { [name]: 'broken' as const }, {}, 'old@example.com'],
    ['does not wait for DNS', {}, { wait_for_dns: false }, 'new@example.com'],
    ['waits for its day', {}, { wait_for_dns: false, from: '2027-01-01' }, 'old@example.com'],
  ])('%s', async (_, records, more, expected) => {
    expect(await selectors({ domains: entry(more), records }, 'example.com')).toBe(expected);
  });
});
