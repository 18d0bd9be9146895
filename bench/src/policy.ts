import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createPolicyClient, type Uncommitted } from '@waypost/inline';
import {
  aRecord,
  DnsServer,
  freePort,
  startRedis,
  startWaypost,
  TEST_KEY,
  type WaypostProcess,
} from '@waypost/testkit';
import { cpuOf } from './process-tree.js';
import { signing } from './signing.js';

export interface PolicyBenchOptions {
  readonly messages: number;
  /** Octets of a message. */
  readonly size: number;
  readonly print: (text: string) => void;
}

const SECRET = `${TEST_KEY}policy`;
/** Questions to policy at once. */
const SIDE_BY_SIDE = 16;

/**
 * CPU of the whole policy for a message, in a policy process as it runs in production: asked over its inline port, every default
 * check on, DNS answered by a server of this machine. Once as mail from outside (SPF, DKIM, DMARC, ARC, heuristics, classifier), once
 * as mail of our own that is signed with rsa-2048; a full policy is counted as both together.
 * @returns whether mail was judged as it should be.
 */
export async function measurePolicy({ messages, size, print }: PolicyBenchOptions): Promise<boolean> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const dns = await DnsServer.start((name, type) => answer(name, type, key));
  const redis = await startRedis();
  const port = await freePort();
  const waypost = await startWaypost({
    redis: redis.url,
    services: ['policy'],
    config: {
      policy: { inline: { listen: `127.0.0.1:${port}`, secret: SECRET } },
      delivery: { dns_servers: [dns.address] },
      telemetry: { log_level: 'error' },
      dkim: signing('rsa').dkim,
    },
  });
  try {
    const policy = createPolicyClient(() => ({ url: `http://127.0.0.1:${port}`, secret: SECRET }));
    const bodies = Array.from({ length: 64 }, (_, n) => message(size, n, privateKey));
    let judged = true;
    const costs = [];
    for (const kind of ['mx', 'submission'] as const) {
      const ask = async (n: number) => {
        const verdict = await policy.judge(toJudge(kind, bodies[n % bodies.length] as Buffer));
        const done = verdict.kind === 'take' ? verdict.judgement : undefined;
        const header = done?.forms[0]?.prepend ?? '';
        judged &&=
          kind === 'mx' ? /dkim=pass/.test(header) && /spf=pass/.test(header) : /^DKIM-Signature:/m.test(header);
      };
      await run(messages / 4, ask);
      const before = cpuOf([waypost.pid]);
      await run(messages, ask);
      const cost = (cpuOf([waypost.pid]) - before) / messages;
      costs.push(cost);
      print(
        `${kind === 'mx' ? 'from outside' : 'signed      '}  ${cost.toFixed(2)} ms of CPU a message of ${size} octets`,
      );
    }
    const full = costs.reduce((sum, one) => sum + one, 0);
    print(`full policy   ${full.toFixed(2)} ms, ${Math.round(1000 / full)} messages/s a core`);
    if (!judged) print('some messages were not judged as they should be');
    return judged;
  } finally {
    await stopAll(waypost, redis);
  }
}

async function stopAll(waypost: WaypostProcess, redis: { stop(): Promise<void> }): Promise<void> {
  await waypost.stop();
  await redis.stop();
}

async function run(count: number, ask: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async () => {
    for (let n = next++; n < count; n = next++) await ask(n);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, one));
}

function toJudge(kind: 'mx' | 'submission', body: Buffer): Uncommitted {
  const outside = kind === 'mx' ? { remoteAddress: '192.0.2.1', helo: 'mx.example.com' } : { credential: 'bench' };
  const meta = {
    id: randomUUID(),
    envelope: { sender: 'a@example.com', recipients: [{ address: 'b@example.org' }] },
    origin: { kind, listener: kind, protocol: 'ESMTP', ...outside },
    body: { at: 'inline', size: body.length },
    receivedAt: Date.now(),
    hops: 1,
  } as const;
  return { meta, body };
}

function answer(name: string, type: string, key: string) {
  const text = TEXTS[name] ?? (name === 's._domainkey.example.com' ? `v=DKIM1; k=rsa; p=${key}` : undefined);
  // One string of a TXT record has 255 octets at most.
  if (type === 'TXT' && text) return [{ name, type: 'TXT', ttl: 300, data: text.match(/.{1,255}/g) ?? [] } as const];
  if (type === 'A' && (name === 'mx.example.com' || name === 'example.com')) return [aRecord(name, '192.0.2.1')];
  if (type === 'PTR' && name === '1.2.0.192.in-addr.arpa')
    return [{ name, type, ttl: 300, data: 'mx.example.com' } as const];
  return name.endsWith('example.com') ? [] : undefined;
}

const TEXTS: Readonly<Record<string, string>> = {
  'example.com': 'v=spf1 ip4:192.0.2.0/24 -all',
  '_dmarc.example.com': 'v=DMARC1; p=reject',
};

const WORDS =
  'the meeting notes and figures for this quarter are ready please look at them before friday thank you'.split(' ');

/** A letter of ordinary words, each another, signed by its author's domain. */
function message(size: number, seed: number, privateKey: ReturnType<typeof generateKeyPairSync>['privateKey']): Buffer {
  const fields = [
    'From: A <a@example.com>',
    'To: b@example.org',
    `Subject: Notes of meeting ${seed}`,
    `Message-ID: <${seed}.${size}@example.com>`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
  ];
  let body = '';
  for (let n = seed * 7; body.length < size; n += 1)
    body += `${WORDS[(n * n + seed) % WORDS.length]}${n % 12 === 11 ? '\r\n' : ' '}`;
  body = `${body.replace(/ +\r\n/g, '\r\n').trimEnd()}\r\n`;
  const bodyHash = createHash('sha256').update(body).digest('base64');
  const tags = `v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s; h=from:to:subject:message-id:date; bh=${bodyHash}; b=`;
  const names = fields.map((field) => field.replace(/^[^:]*: /, (name) => `${name.slice(0, -2).toLowerCase()}:`));
  const signature = sign('sha256', Buffer.from(`${names.join('\r\n')}\r\ndkim-signature:${tags}`), privateKey);
  const received =
    'Received: from mx.example.com (mx.example.com [192.0.2.1]) by relay.test with ESMTP; Mon, 1 Jan 2024 00:00:00 +0000';
  return Buffer.from(
    [received, `DKIM-Signature: ${tags}${signature.toString('base64')}`, ...fields, '', body].join('\r\n'),
  );
}
