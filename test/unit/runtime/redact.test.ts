import { createRedact, hashAddress } from '@waypost/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const KEY = 'a key of sixteen characters';
const full = createRedact({ pii: 'full' });
const hashed = createRedact({ pii: 'hashed', key: KEY });
const none = createRedact({ pii: 'none' });
const hash = (address: string) => hashAddress(address, KEY);

describe('addresses in logs', () => {
  it.each([
    ['550 5.1.1 <bob@example.org>: no such user', 'bob@example.org'],
    ['bob@example.org', 'bob@example.org'],
    ["'bob@example.org' is unknown", 'bob@example.org'],
    ["o'brien@example.org is unknown", "o'brien@example.org"],
    ['Bob.Smith+tag@Mail.Example.ORG.', 'bob.smith+tag@mail.example.org'],
    ['user (bob@example.org), relay', 'bob@example.org'],
    ['bounces+bob=example.org@lists.example.com', 'bounces+bob=example.org@lists.example.com'],
    ['/v1/suppressions/bob%40example.org', '/v1/suppressions/bob@example.org'],
    ['"bob smith"@example.org', '"bob smith"@example.org'],
    ['bob@[192.0.2.1]', 'bob@[192.0.2.1]'],
    ['jörg@exämple.org', 'jörg@exämple.org'],
  ])('%s', (text, address) => {
    expect(full(text)).toBe(text);
    expect(hashed(text)).toContain(hash(address));
    expect(hashed(text)).not.toMatch(/bob|brien|jörg/i);
    expect(none(text)).toContain('(address)');
    expect(none(text)).not.toMatch(/bob|brien|jörg/i);
  });

  it('are found in objects, lists, names of fields and errors', () => {
    const line = hashed({
      to: ['bob@example.org'],
      'bob@example.org': { deep: 'for bob@example.org' },
      error: new Error('no bob@example.org'),
    });
    expect(JSON.stringify(line)).not.toMatch(/bob/);
    expect(JSON.stringify(line).split(hash('bob@example.org')).length).toBe(5);
  });

  it('of any form are not seen once hashed', () => {
    fc.assert(
      fc.property(fc.emailAddress(), fc.constantFrom('<', ' ', '(', '"', ','), (address, before) => {
        expect(hashed(`550 5.1.1 ${before}${address}> unknown`)).not.toContain(address);
        expect(none({ text: address })).toEqual({ text: '(address)' });
      }),
    );
  });

  it('have the same hash whatever their case, and another with another key', () => {
    expect(hash('Bob@Example.ORG')).toBe(hash('bob@example.org'));
    expect(hash('bob@example.org')).not.toBe(hash('rob@example.org'));
    expect(hashAddress('bob@example.org', 'another key of enough length')).not.toBe(hash('bob@example.org'));
    expect(() => createRedact({ pii: 'hashed' })).toThrow('need a key');
  });
});

describe('secrets and bodies in logs', () => {
  it.each([
    ['the key wp_0a1b2c3d4e5f_abcdefghijklmnopqrstuvwxyz is unknown', /wp_0a1b2c3d4e5f_…/, /abcdefghij/],
    ['Authorization: Bearer abcdefghijk', /Bearer …/, /abcdefghij/],
    ['AUTH PLAIN AGFiY2RlZmdoaWprbA==', /AUTH PLAIN …/, /AGFi/],
    ['redis://user:abcdefghijk@127.0.0.1:6379 is away', /redis:\/\/…@127\.0\.0\.1/, /abcdefghij/],
  ])('%s', (text, shown, hidden) => {
    for (const redact of [full, hashed, none]) {
      expect(redact(text)).toMatch(shown);
      expect(redact({ error: text }).error).not.toMatch(hidden);
    }
  });

  it('a text is cut where it is a message and not an error', () => {
    const body = `Subject: hello\n${'a line of a message\n'.repeat(100)}`;
    expect(full(`cannot be parsed: ${body}`).split('\n').length).toBe(3);
    expect(full('x'.repeat(5000))).toMatch(/^x{1000}… \(5000 characters\)$/);
    expect(full({ body: Buffer.from('hello') })).toEqual({ body: '(5 octets)' });
  });

  it('costs little where there is nothing to hide', () => {
    const text = 'a line without anything of interest';
    expect(full(text)).toBe(text);
    const long = `${'a.'.repeat(20_000)}@`;
    const before = process.cpuUsage();
    for (let at = 0; at < 100; at += 1) hashed(long);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000 / 100).toBeLessThan(20);
  });
});
