import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { freePort, SmtpDialog } from '@waypost/testkit';
import { Redis } from 'ioredis';
import { listening } from '../peers.js';
import { cpuOf, memoryOf } from '../process-tree.js';
import { startWaypost } from '../targets/waypost.js';

const GUESSER = resolve(import.meta.dirname, 'guesser.js');
const SECRET = 'wp_bench_0123456789abcdef0123456789abcdef';
/** Right logins a second, before and during the attack. */
const RIGHT = 50;
const ALLOWED = 2;

export interface LoginSettings {
  readonly dir: string;
  readonly print: (text: string) => void;
  readonly guesses: number;
  readonly addresses: number;
  /** Guesses a second. */
  readonly rate: number;
}

/**
 * Guesses passwords from many addresses while others log in rightly.
 * @returns whether all who guessed were banned and those who did not were served: their p99 within twice that of quiet times.
 */
export async function measureLogins({ dir, print, guesses, addresses, rate }: LoginSettings): Promise<boolean> {
  const port = await freePort();
  const metrics = await freePort();
  const waypost = await startWaypost({
    dir,
    layout: 'one',
    listeners: [{ name: 'submission', kind: 'submission', port, auth_without_tls: true, tls: 'none' }],
    config: {
      telemetry: { metrics_port: metrics, log_level: 'warn' },
      keys: [{ id: 'bench', secret: SECRET }],
      abuse: { bans: { exempt: [] }, tarpit: { delay: '5s', sockets: 256 } },
    },
  });
  const redis = new Redis(waypost.redisPort, '127.0.0.1');
  try {
    const seconds = Math.ceil(guesses / rate);
    await listening(port);
    // Code is compiled before it counts.
    await logIn(port, 5);
    const memory = () => memoryOf(waypost.pids);
    const quiet = await logIn(port, seconds);
    print(`quiet: ${quiet.length} logins in ${seconds} s, ${shown(quiet)}; ${memory().toFixed(0)} MiB`);
    const before = { memory: memory(), cpu: cpuOf(waypost.pids) };
    const child = spawn(process.execPath, [GUESSER, ...[port, guesses, addresses, rate].map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    const ended = once(child, 'exit');
    const attacked = await logIn(port, seconds);
    await ended;
    const counts = JSON.parse(output) as { guessed: number; turnedAway: number; lost: number };
    const banned = await redis.zcard('wp:abuse:bans');
    const { guessed, turnedAway, lost } = counts;
    print(
      `attacked: ${guessed} secrets guessed and ${turnedAway} connections turned away from ${addresses} addresses, ${lost} lost; ${banned} addresses banned`,
    );
    print(`meanwhile: ${attacked.length} logins, ${shown(attacked)}`);
    const cpu = cpuOf(waypost.pids) - before.cpu;
    print(`CPU while attacked: ${((cpu / 1000 / seconds) * 100).toFixed(0)} % of a core, Redis with it`);
    print(`memory: ${before.memory.toFixed(0)} MiB before, ${memory().toFixed(0)} MiB after; ${await table(metrics)}`);
    const factor = percentile(attacked, 99) / percentile(quiet, 99);
    print(`p99 of right logins: ${factor.toFixed(2)} times that of quiet times (${ALLOWED} allowed)`);
    return banned === addresses && attacked.length === quiet.length && factor <= ALLOWED;
  } finally {
    redis.disconnect();
    await waypost.stop();
  }
}

async function table(port: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return text.split('\n').find((line) => line.startsWith('waypost_abuse_banned_networks')) ?? '';
}

/** Logs in so often a second, for so long. @returns ms from connecting to 235, sorted. */
async function logIn(port: number, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const started = performance.now();
  const running: Promise<void>[] = [];
  for (let at = 0; at < seconds * RIGHT; at += 1) {
    const due = started + (at / RIGHT) * 1000;
    if (due > performance.now()) await new Promise((done) => setTimeout(done, due - performance.now()));
    const one = logInOnce(port).then((time) => void times.push(time));
    // What goes wrong is told when all are through.
    one.catch(() => undefined);
    running.push(one);
  }
  await Promise.all(running);
  return times.sort((a, b) => a - b);
}

async function logInOnce(port: number): Promise<number> {
  const started = performance.now();
  const dialog = await SmtpDialog.open(port);
  await dialog.reply();
  await dialog.say('EHLO right.test');
  const reply = await dialog.say(`AUTH PLAIN ${Buffer.from(`\0app\0${SECRET}`).toString('base64')}`);
  const time = performance.now() - started;
  dialog.close();
  if (!reply.startsWith('235')) throw new Error(`a right login was refused: ${reply}`);
  return time;
}

const percentile = (sorted: readonly number[], percent: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
const shown = (sorted: readonly number[]) =>
  [50, 90, 99].map((percent) => `p${percent} ${percentile(sorted, percent).toFixed(1)} ms`).join(', ');
