import { isTerminal, type RecipientState } from '@waypost/mail';
import type { RedisHandle } from '@waypost/redis';
import { KeyStore } from '@waypost/store';
import type { Command } from 'commander';

type WithRedis = <T>(options: { config?: string }, work: (redis: RedisHandle) => Promise<T>) => Promise<T>;

export interface SmokeOptions {
  /** Base address of the HTTP API. */
  readonly http: string;
  readonly from: string;
  readonly to: string;
  /** How long the message may take, ms. */
  readonly within: number;
}

const LOOK_EVERY = 250;
const KEY_HEARD = 15_000;

/** The relay did not do what it should; the message says at which step. */
export class SmokeError extends Error {
  override readonly name = 'ApiError';
}

/**
 * Sends a message through a running relay and waits until its recipient has an outcome, with a key made for it alone.
 * @throws SmokeError
 */
export async function smoke(
  { http, from, to, within }: SmokeOptions,
  keys: KeyStore,
  print: (text: string) => void,
): Promise<void> {
  const { secret, record } = await keys.create({ name: 'smoke', domains: ['*'] });
  const call = async (path: string, body?: unknown) => {
    const response = await fetch(new URL(path, http), {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(within),
    }).catch((error: Error) => {
      throw new SmokeError(`${http} cannot be reached: ${String(error.cause ?? error.message)}`);
    });
    const text = await response.text();
    // A process may take a moment to hear of a new key.
    if (response.status === 401 && Date.now() - started < KEY_HEARD) return undefined;
    if (!response.ok) throw new SmokeError(`${path} answered ${response.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as Record<string, unknown>;
  };
  const eventually = async (path: string, body?: unknown) => {
    for (;;) {
      const answer = await call(path, body);
      if (answer) return answer;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  };
  const started = Date.now();
  try {
    const email = { from, to, subject: 'Smoke test', text: 'Sent by "waypost smoke".' };
    const { id } = await eventually('/v1/emails', email);
    print(`accepted as ${id}`);
    for (;;) {
      const { recipients = [] } = (await eventually(`/v1/emails/${id}`)) as {
        recipients?: { state: RecipientState }[];
      };
      const [{ state } = { state: 'accepted' as const }] = recipients;
      if (state === 'delivered') return print(`delivered after ${Date.now() - started} ms`);
      if (isTerminal(state)) throw new SmokeError(`the message ended as ${state}; see "waypost message ${id}"`);
      if (Date.now() - started > within) throw new SmokeError(`the message is still ${state} after ${within} ms`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  } finally {
    await keys.revoke(record.id);
  }
}

/** `waypost smoke`: whether mail goes through, for `helm test` and after an upgrade. */
export function addSmoke(program: Command, withRedis: WithRedis): void {
  program
    .command('smoke')
    .description('send a message through a running relay and wait for its outcome')
    .option('-c, --config <file>', 'the configuration file')
    .option('--http <url>', 'base address of the HTTP API', 'http://127.0.0.1:8080')
    .option('--from <address>', '', 'smoke@waypost.invalid')
    .option('--to <address>', '', 'smoke@smoke.waypost.invalid')
    .option('--within <seconds>', 'how long it may take', '60')
    .action(async ({ http, from, to, within, ...options }) => {
      const print = (text: string) => void process.stdout.write(`${text}\n`);
      await withRedis(options, (redis) =>
        smoke({ http, from, to, within: Number(within) * 1000 }, new KeyStore(redis.group), print),
      );
    });
}
