import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join, resolve } from 'node:path';
import { find } from '@waypost/testkit';
import { Command } from 'commander';
import { measureLarge } from './large.js';
import { measureLogins } from './logins/measure.js';
import { type Load, Sink } from './peers.js';
import { measurePolicy } from './policy.js';
import { measureProviders } from './providers/measure.js';
import { type Case, table } from './report.js';
import { measure, medianRound, type Round } from './round.js';
import { measureDestinations, measureThrottled } from './shaped.js';
import { FEW_CHECKS, type SignType, signing } from './signing.js';
import { startPostfix } from './targets/postfix.js';
import type { Target } from './targets/target.js';
import { LAYOUTS, type Layout, startWaypost } from './targets/waypost.js';

const RESULTS = resolve(import.meta.dirname, '../results');
const SIZES: Record<string, { size: number; messages: number }> = {
  '1KB': { size: 1024, messages: 3000 },
  '10KB': { size: 10_240, messages: 3000 },
  '100KB': { size: 102_400, messages: 1000 },
  '1MB': { size: 1_048_576, messages: 150 },
};

interface Options {
  readonly sizes: string[];
  readonly modes: string[];
  readonly rounds: string;
  readonly messages?: string;
  readonly sessions: string;
  readonly layout: string;
  readonly postfix: boolean;
  readonly sign?: SignType[];
  readonly large?: boolean;
  readonly throttled?: boolean;
  readonly destinations?: boolean;
  readonly providers?: boolean;
  readonly minutes: string;
  readonly logins?: boolean;
  readonly policy?: boolean;
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

async function main(): Promise<number> {
  const program = new Command('waypost bench')
    .description('relays the same load through Waypost and through Postfix, round by round in turn')
    .option('--sizes <size...>', Object.keys(SIZES).join(', '), Object.keys(SIZES))
    .option('--modes <mode...>', 'kept (one session for many messages), new (a connection for each)', ['kept', 'new'])
    .option('--rounds <n>', 'rounds of each case; the median counts', '5')
    .option('--messages <n>', 'messages a round, instead of what suits the size')
    .option('--sessions <n>', 'sessions side by side', '20')
    .option('--layout <layout>', `processes of Waypost: ${Object.keys(LAYOUTS).join(' or ')}`, 'one')
    .option('--no-postfix', 'Waypost alone')
    .option('--sign <type...>', 'Waypost beside itself with DKIM signing: rsa, ed25519, or both')
    .option('--large', 'instead: 200 messages of 25 MB at once, and what they do to memory and to another client')
    .option('--throttled', 'instead: 100,000 messages for a site limited to 50/s, and 1,000 other sites beside it')
    .option('--destinations', 'instead: 10,000 destinations with 10 messages each, beside one with as many')
    .option(
      '--providers',
      'instead: providers that defer, limit, block, dawdle and cut connections; counts what is lost',
    )
    .option('--minutes <n>', 'how long --providers lasts', '60')
    .option('--policy', 'instead: what the whole policy costs for a message of 10 KB')
    .option('--logins', 'instead: 10,000 failed logins from 100 addresses, while others log in')
    .parse();
  const options = program.opts<Options>();
  if (options.providers) return runProviders(Number(options.minutes));
  if (options.logins) return runLogins();
  if (options.policy) return runPolicy(Number(options.messages ?? 3000));
  const source = find('smtp-source');
  const sinkProgram = find('smtp-sink');
  if (!source || !sinkProgram) {
    print('Skipped: smtp-source and smtp-sink are not installed; they come with Postfix ("apt-get install postfix").');
    return 0;
  }
  mkdirSync(RESULTS, { recursive: true });
  const dir = mkdtempSync(join(RESULTS, 'run-'));
  // Postfix's own user must be able to pass through.
  chmodSync(dir, 0o711);
  const stops: (() => Promise<void> | void)[] = [];
  const stopAll = async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stopAll().then(() => process.exit(1)));
  try {
    if (options.throttled || options.destinations) {
      const settings = { dir: join(dir, 'waypost'), sinkProgram, print, messages: Number(options.messages ?? 100_000) };
      if (options.throttled) await measureThrottled(settings);
      else await measureDestinations(settings, settings.messages / 10);
      return 0;
    }
    const targets = await startTargets(options, sinkProgram, dir, stops);
    if (options.large) {
      for (const { target, sink } of targets) {
        print(`${target.name}: ${JSON.stringify(await measureLarge(source, target, sink, 200, 26_214_400), null, 2)}`);
      }
      return 0;
    }
    const cases = await runCases(options, source, targets);
    print(table(cases, options.sign ? 'Waypost' : 'Postfix'));
    const file = join(RESULTS, `${new Date().toISOString().replace(/[:.]/g, '-')}.json`);
    const machine = { cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), node: process.version };
    writeFileSync(file, `${JSON.stringify({ machine, options, cases }, null, 2)}\n`);
    print(`\nWritten to ${file}`);
    return 0;
  } finally {
    await stopAll();
  }
}

async function runProviders(minutes: number): Promise<number> {
  mkdirSync(RESULTS, { recursive: true });
  const dir = mkdtempSync(join(RESULTS, 'run-'));
  try {
    return (await measureProviders({ dir, print, minutes, rate: 40 })) ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function runPolicy(messages: number): Promise<number> {
  return (await measurePolicy({ messages, size: 10_240, print })) ? 0 : 1;
}

async function runLogins(): Promise<number> {
  mkdirSync(RESULTS, { recursive: true });
  const dir = mkdtempSync(join(RESULTS, 'run-'));
  try {
    return (await measureLogins({ dir, print, guesses: 10_000, addresses: 100, rate: 500 })) ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Running {
  readonly target: Target;
  readonly sink: Sink;
}

async function startTargets(options: Options, sinkProgram: string, dir: string, stops: (() => Promise<void> | void)[]) {
  const running: Running[] = [];
  const add = async (start: (sinkPort: number) => Promise<Target>) => {
    const sink = await Sink.start(sinkProgram);
    stops.push(() => sink.stop());
    const target = await start(sink.port);
    stops.push(() => target.stop());
    running.push({ target, sink });
  };
  const waypost = (port: number, name: string, more: Record<string, unknown>) =>
    startWaypost({
      dir: join(dir, name),
      layout: options.layout as Layout,
      config: { routes: [{ match: '*', to: `smtp://127.0.0.1:${port}`, tls: 'none' }], ...more },
    });
  // Beside signing, only what every message needs.
  await add((port) => waypost(port, 'waypost', options.sign ? { policy: { checks: FEW_CHECKS } } : {}));
  for (const type of options.sign ?? []) {
    await add(async (port) => ({ ...(await waypost(port, type, signing(type))), name: `Waypost, signs ${type}` }));
  }
  const postfix = find('postfix');
  if (!options.postfix || options.sign) return running;
  if (!postfix || process.getuid?.() !== 0) {
    print(`Postfix is skipped: ${postfix ? 'it can be started by root only' : 'it is not installed'}.`);
    return running;
  }
  await add((port) => startPostfix(postfix, join(dir, 'postfix'), port));
  return running;
}

async function runCases(options: Options, source: string, targets: readonly Running[]): Promise<Case[]> {
  const cases: Case[] = [];
  for (const size of options.sizes) {
    const settings = SIZES[size];
    if (!settings) throw new Error(`there is no size "${size}"; choose of ${Object.keys(SIZES).join(', ')}`);
    for (const mode of options.modes) {
      const messages = Number(options.messages ?? settings.messages);
      const load: Load = { size: settings.size, messages, sessions: Number(options.sessions), kept: mode === 'kept' };
      // One round of each that does not count: code is compiled and files are made.
      for (const { target, sink } of targets) await measure(source, target, sink, load);
      const rounds = new Map<Running, Round[]>(targets.map((one) => [one, []]));
      for (let round = 0; round < Number(options.rounds); round += 1) {
        for (const one of targets) rounds.get(one)?.push(await measure(source, one.target, one.sink, load));
      }
      for (const [{ target }, list] of rounds) {
        cases.push({ size, mode, target: target.name, rounds: list, median: medianRound(list) });
      }
    }
  }
  return cases;
}

process.exitCode = await main();
