import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { authenticate, createKeyCache, type Resolve } from '@waypost/msgauth';

/**
 * What it costs to authenticate a message: CPU of SPF, one DKIM signature of RSA 2048, ARC and DMARC.
 * Run: node bench/dist/msgauth.js
 */
const SIZES = [1_024, 10_240, 102_400, 1_048_576];

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const RECORDS: Readonly<Record<string, string>> = {
  's._domainkey.example.com': `v=DKIM1; k=rsa; p=${key}`,
  'example.com': 'v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all',
  '_dmarc.example.com': 'v=DMARC1; p=reject',
};
const resolve: Resolve = async (name, kind) => {
  const text = kind === 'TXT' ? RECORDS[name] : undefined;
  if (text === undefined) throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
  return [text] as never;
};
const deps = {
  resolve,
  keys: createKeyCache(),
  settings: { minBits: 1024, maxSignatures: 10, partialBody: false, orgDomain: 'psl', authserv: 'mx.example.org' },
} as const;

function message(size: number): Buffer {
  const fields = [
    'From: A <a@example.com>',
    'To: b@example.org',
    'Subject: hello there',
    'Message-ID: <1@example.com>',
  ];
  const line = 'The quick brown fox jumps over the lazy dog, and does it once again.\r\n';
  const body = line.repeat(Math.ceil(size / line.length));
  const bodyHash = createHash('sha256').update(body).digest('base64');
  const tags = `v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s; h=from:to:subject:message-id; bh=${bodyHash}; b=`;
  const signed = fields.map((field) => field.replace(/^[^:]*: /, (name) => `${name.slice(0, -2).toLowerCase()}:`));
  const data = `${signed.join('\r\n')}\r\ndkim-signature:${tags}`;
  const signature = sign('sha256', Buffer.from(data), privateKey).toString('base64');
  const received = 'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000';
  return Buffer.from([received, `DKIM-Signature: ${tags}${signature}`, ...fields, '', body].join('\r\n'));
}

async function measure(size: number): Promise<string> {
  const input = { message: message(size), remoteAddress: '192.0.2.1', helo: 'mx.example.com', sender: 'a@example.com' };
  const { dkim, spf, dmarc } = await authenticate(input, deps);
  const all = [spf.result, dkim[0]?.result, dmarc.result];
  if (all.some((result) => result !== 'pass')) throw new Error(`not authentic: ${all.join(' ')}`);
  const runs = size > 100_000 ? 200 : 3_000;
  for (let i = 0; i < runs / 4; i += 1) await authenticate(input, deps);
  const before = process.cpuUsage();
  for (let i = 0; i < runs; i += 1) await authenticate(input, deps);
  const { user, system } = process.cpuUsage(before);
  return `${String(size).padStart(8)} octets  ${((user + system) / 1000 / runs).toFixed(3)} ms of CPU a message`;
}

for (const size of SIZES) process.stdout.write(`${await measure(size)}\n`);
