import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Composition } from './compose.js';

/** What `waypost up` runs without a file: nothing leaves the machine until a route says so (design §5). */
export function upDefaults(data: string): Record<string, unknown> {
  return {
    server: { hostname: 'waypost.localhost' },
    redis: { embedded: { dir: join(data, 'redis') } },
    spool: { dir: join(data, 'spool') },
    tls: { self_signed_dir: join(data, 'tls') },
    listeners: [
      { name: 'submission', kind: 'submission', port: 2587, tls: 'starttls' },
      { name: 'submissions', kind: 'submission', port: 2465, tls: 'implicit' },
      { name: 'trusted', kind: 'relay', port: 2525, tls: 'none', allow: ['127.0.0.0/8', '::1'] },
    ],
    api: { open_on_loopback: true },
    routes: [{ match: '*', to: 'sink' }],
    telemetry: { log_level: 'warn' },
  };
}

/** Makes the first API key, or finds the one made before; its secret is in a file that only the owner reads. */
export async function firstKey(composition: Composition, data: string): Promise<string> {
  const file = join(data, 'first-api-key');
  if (existsSync(file)) {
    const secret = readFileSync(file, 'utf8').trim();
    if (await composition.keys.authenticate({ password: secret })) return secret;
  }
  const { secret } = await composition.keys.create({ name: 'first key', scopes: ['send', 'read', 'admin'] });
  mkdirSync(data, { recursive: true, mode: 0o700 });
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  return secret;
}

export interface UpText {
  readonly http: string;
  readonly api: string;
  readonly metrics: string;
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly what: string }[];
  readonly key: string;
}

/** @returns what `waypost up` prints when it is ready. */
export function upMessage(text: UpText): string {
  const rows = [
    ['HTTP API', `${text.http}   (reference: ${text.http}/docs)`],
    ...text.listeners.map(({ name, address, what }) => [`SMTP ${name}`, `${address}   ${what}`]),
    ['Caught mail', text.api],
    ['Metrics', text.metrics],
    ['API key', text.key],
  ];
  const body = '{"from":"app@example.com","to":"you@example.com","subject":"Hello","text":"It works."}';
  return [
    '',
    'Waypost is running. Mail is caught here and goes nowhere until a route says so.',
    '',
    ...rows.map(([name = '', value = '']) => `  ${name.padEnd(18)} ${value}`),
    '',
    'Try it:',
    '',
    `  curl ${text.http}/v1/emails -H "Authorization: Bearer ${text.key}" -H 'Content-Type: application/json' -d '${body}'`,
    '',
    'Ctrl-C stops it; what it holds is there again at the next start.',
    '',
  ].join('\n');
}
