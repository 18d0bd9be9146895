import { authenticate, createKeyCache, type Resolve } from '@waypost/msgauth';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const NAMES = [
  'DKIM-Signature',
  'ARC-Seal',
  'ARC-Message-Signature',
  'ARC-Authentication-Results',
  'From',
  'Authentication-Results',
  'Subject',
];
const tag = fc.oneof(
  fc.constantFrom(
    'v=1',
    'a=rsa-sha256',
    'a=ed25519-sha256',
    'c=relaxed/simple',
    'd=example.com',
    's=s',
    'h=from:from:subject',
    'bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    'b=AAAA',
    'i=1',
    'i=@x.example.com',
    'cv=none',
    'l=0',
    'l=99999999999999999999',
    't=1',
    'x=0',
    'h=',
  ),
  fc.string({ maxLength: 20 }),
);
const value = fc.oneof(
  fc.array(tag, { maxLength: 14 }).map((tags) => tags.join('; ')),
  fc.string({ unit: 'binary', maxLength: 80 }),
);
const field = fc.tuple(fc.constantFrom(...NAMES), value).map(([name, text]) => `${name}: ${text}\r\n`);
const message = fc
  .tuple(fc.array(field, { maxLength: 12 }), fc.uint8Array({ maxLength: 200 }))
  .map(([fields, body]) => Buffer.concat([Buffer.from(`${fields.join('')}\r\n`), body]));
const answer = fc.oneof(
  fc.constantFrom(
    'v=DKIM1; p=',
    'v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
    'v=DKIM1; p=AAAA',
  ),
  fc.constantFrom('v=spf1 include:example.com -all', 'v=spf1 exists:%{i}.%{d} ~all', 'v=DMARC1; p=reject; np=none'),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

describe('what comes from outside', () => {
  it('never makes the checks throw, and never passes by itself', async () => {
    await fc.assert(
      fc.asyncProperty(message, fc.string(), fc.string(), fc.array(answer), async (octets, helo, sender, answers) => {
        const texts = [...answers];
        const resolve: Resolve = async (_, kind) => {
          const text = texts.pop();
          if (text === undefined) throw Object.assign(new Error('none'), { code: 'ENODATA' });
          return (kind === 'MX' ? [{ exchange: text, priority: 1 }] : [text]) as never;
        };
        const settings = {
          minBits: 1024,
          maxSignatures: 10,
          partialBody: false,
          orgDomain: 'psl',
          authserv: 'mx',
        } as const;
        const found = await authenticate(
          { message: octets, remoteAddress: '192.0.2.1', helo, sender },
          { resolve, keys: createKeyCache(), settings },
        );
        expect(found.dkim.map(({ result }) => result)).not.toContain('pass');
        expect(found.arc.result).not.toBe('pass');
        expect(found.header).not.toMatch(/\r\n[^\t]|[^\x20-\x7e\r\n\t]/);
      }),
      { numRuns: 400 },
    );
  });
});
