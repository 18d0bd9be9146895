import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { freePort, sendLoad } from '@waypost/testkit';
import { Redis } from 'ioredis';
import { Sink, Sinks } from './peers.js';
import { cpuOf } from './process-tree.js';
import { startWaypost, type WaypostTarget } from './targets/waypost.js';

export interface ShapedSettings {
  readonly dir: string;
  readonly sinkProgram: string;
  readonly print: (text: string) => void;
  /** Messages of the backlog, or to all destinations together. */
  readonly messages: number;
}

const NAME_SERVER = resolve(import.meta.dirname, 'name-server.js');
const LIMITED = '127.0.0.2';
const OTHERS = Array.from({ length: 8 }, (_, at) => `127.0.0.${at + 11}`);
const RATE = 50;
const SITES = 1_000;
const TO_OTHERS = 20_000;
const QUIET = 60_000;
const RESTING = 20_000;
const SESSIONS = 40;

/** A cluster of Waypost with three delivery processes, its name server and its sinks. */
class Bench {
  private constructor(
    readonly waypost: WaypostTarget,
    readonly redis: Redis,
    readonly limited: Sink,
    readonly others: Sinks,
    private readonly dns: ChildProcess,
  ) {}

  static async start({ dir, sinkProgram }: ShapedSettings): Promise<Bench> {
    const port = await freePort();
    const limited = await Sink.start(sinkProgram, { host: LIMITED, port });
    const others = await Sinks.start(sinkProgram, OTHERS, port);
    const dns = spawn(process.execPath, [NAME_SERVER, 'limited.test', LIMITED, ...OTHERS], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [address] = (await once(dns.stdout, 'data')) as [Buffer];
    const waypost = await startWaypost({
      dir,
      layout: 'shaped',
      config: {
        routes: [{ match: '*', to: 'mx', tls: 'none' }],
        shaping: [
          { match: 'limited.test', rate: `${RATE}/s` },
          { match: 'waiting.test', rate: '1/h' },
        ],
        delivery: { mx_port: port, dns_servers: [address.toString().trim()] },
      },
    });
    return new Bench(waypost, new Redis(waypost.redisPort, '127.0.0.1'), limited, others, dns);
  }

  /** Sends so many messages. @returns when the first was sent, ms. */
  async send(messages: number, recipient: (number: number) => string): Promise<number> {
    const started = performance.now();
    await sendLoad({ port: this.waypost.port, messages, sessions: SESSIONS, size: 500, recipient, timeout: 600_000 });
    return started;
  }

  /** @returns calls of every Redis command since the last time. */
  async commands(): Promise<Map<string, number>> {
    const info = await this.redis.info('commandstats');
    await this.redis.config('RESETSTAT');
    return new Map(
      [...info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name = '', calls]) => [name, Number(calls)]),
    );
  }

  /** @returns connections to Redis of each process that delivers. */
  async connections(): Promise<number[]> {
    const list = String(await this.redis.client('LIST'));
    const ports = new Set([...list.matchAll(/ addr=127\.0\.0\.1:(\d+) /g)].map(([, port]) => port));
    return this.waypost.delivering.map((pid) => localPorts(pid).filter((port) => ports.has(port)).length);
  }

  async stop(): Promise<void> {
    this.redis.disconnect();
    await this.waypost.stop();
    this.dns.kill();
    this.limited.stop();
    this.others.stop();
  }
}

/** @returns the local TCP ports of a process's connections. */
function localPorts(pid: number): string[] {
  const { stdout } = spawnSync('ss', ['-Htnp'], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(`pid=${pid},`))
    .flatMap((line) => /\S+:(\d+)\s+\S+:\d+\s/.exec(line)?.[1] ?? []);
}

const toOthers = (number: number) => `to@d${number % SITES}.test`;

/** One site limited to 50/s with a long backlog, and 1,000 others beside it, served by three delivery processes. */
export async function measureThrottled(settings: ShapedSettings): Promise<void> {
  const { print, messages } = settings;
  const bench = await Bench.start(settings);
  try {
    const alone = await relayToOthers(bench);
    print(`1,000 other sites, no backlog: ${alone.toFixed(0)} messages/s`);
    await measureWaiting(bench, print, messages / 10);
    await bench.send(messages, () => 'to@limited.test');
    print(`backlog: ${messages} messages accepted for the limited site, ${messages - bench.limited.count} wait`);
    await bench.commands();
    const quiet = await windows(bench.limited, QUIET);
    const commands = await bench.commands();
    print(
      `limited site for ${QUIET / 1000} s: ${quiet.rate.toFixed(2)} messages/s (${RATE} asked for), at most ${quiet.most} in a second`,
    );
    printCommands(print, commands, quiet.count);
    const meanwhile = windows(bench.limited, 10_000);
    const beside = await relayToOthers(bench);
    const limited = await meanwhile;
    print(
      `1,000 other sites beside the backlog: ${beside.toFixed(0)} messages/s, ${((beside / alone) * 100).toFixed(1)} % of those without it; limited site meanwhile ${limited.rate.toFixed(2)}/s`,
    );
  } finally {
    await bench.stop();
  }
}

/** What mail costs Redis while none of it may be sent: beside what it costs with none there. */
async function measureWaiting(bench: Bench, print: ShapedSettings['print'], messages: number): Promise<void> {
  const count = async () => {
    await settle(bench.others);
    await bench.commands();
    await new Promise((resolve) => setTimeout(resolve, RESTING));
    const calls = [...(await bench.commands()).values()].reduce((sum, one) => sum + one, 0);
    return calls / (RESTING / 1000);
  };
  const idle = await count();
  await bench.send(messages, () => 'to@waiting.test');
  const waiting = await count();
  print(
    `Redis at rest: ${idle.toFixed(1)} commands/s with no mail, ${waiting.toFixed(1)} with ${messages} messages that wait for a rate of 1/h`,
  );
}

function printCommands(print: ShapedSettings['print'], commands: ReadonlyMap<string, number>, messages: number): void {
  const total = [...commands.values()].reduce((sum, calls) => sum + calls, 0);
  print(`Redis: ${(total / messages).toFixed(1)} commands for each message sent; the most called:`);
  const top = [...commands].sort((a, b) => b[1] - a[1]).slice(0, 14);
  print(`  ${top.map(([name, calls]) => `${name} ${(calls / messages).toFixed(2)}`).join(' · ')}`);
}

async function relayToOthers(bench: Bench): Promise<number> {
  // Names are looked up and code is compiled before it counts.
  await bench.send(SITES, toOthers);
  await bench.others.reach(bench.others.count + 1, 30_000);
  const goal = bench.others.count;
  await settle(bench.others);
  const before = Math.max(goal, bench.others.count);
  const started = await bench.send(TO_OTHERS, toOthers);
  await bench.others.reach(before + TO_OTHERS, 300_000);
  return TO_OTHERS / ((performance.now() - started) / 1000);
}

/** Waits until no more messages come. */
async function settle(sink: Sinks): Promise<void> {
  for (let last = -1; last !== sink.count; ) {
    last = sink.count;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Counts for a while. @returns the mean rate, the number, and the most in any second. */
async function windows(sink: Sink, milliseconds: number) {
  const samples: { at: number; count: number }[] = [];
  const started = performance.now();
  while (performance.now() - started < milliseconds) {
    samples.push({ at: performance.now(), count: sink.count });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const [first, last] = [samples[0], samples.at(-1)] as [{ at: number; count: number }, { at: number; count: number }];
  const most = Math.max(
    ...samples.map(({ at, count }) => (samples.find((later) => later.at >= at + 1000)?.count ?? count) - count),
  );
  const count = last.count - first.count;
  return { rate: count / ((last.at - first.at) / 1000), count, most };
}

/** Many destinations with few messages each, in random order, beside as many messages to one. */
export async function measureDestinations(settings: ShapedSettings, destinations: number): Promise<void> {
  const { print, messages } = settings;
  const bench = await Bench.start(settings);
  try {
    await bench.send(2_000, () => 'to@one.test');
    await bench.others.reach(2_000, 60_000);
    await bench.commands();
    const one = await relay(bench, messages, () => 'to@one.test');
    print(`one destination: ${inWords(one)}`);
    printCommands(print, await bench.commands(), messages);
    const each = messages / destinations;
    const order = shuffledNumbers(messages);
    const orders: Record<string, (number: number) => string> = {
      'in random order': (number) => `to@m${(order[number] ?? 0) % destinations}.test`,
      'destination by destination': (number) => `to@s${Math.floor(number / each)}.test`,
    };
    for (const [name, recipient] of Object.entries(orders)) {
      const many = await relay(bench, messages, recipient);
      print(`${destinations} destinations, ${each} messages each ${name}: ${inWords(many)}; ${beside(one, many)}`);
      printCommands(print, await bench.commands(), messages);
    }
    print(`connections to Redis of a delivery process: ${(await bench.connections()).join(', ')}`);
  } finally {
    await bench.stop();
  }
}

/** Messages a second, and the CPU time of all Waypost's processes for each, ms: that also compares where the machine is busy. */
interface Relayed {
  readonly rate: number;
  readonly cpu: number;
}

async function relay(bench: Bench, messages: number, recipient: (number: number) => string): Promise<Relayed> {
  const before = bench.others.count;
  const cpu = cpuOf(bench.waypost.pids);
  const started = await bench.send(messages, recipient);
  await bench.others.reach(before + messages, 900_000);
  return {
    rate: messages / ((performance.now() - started) / 1000),
    cpu: (cpuOf(bench.waypost.pids) - cpu) / messages,
  };
}

const inWords = ({ rate, cpu }: Relayed) => `${rate.toFixed(0)} messages/s at ${cpu.toFixed(2)} ms of CPU each`;
const beside = (one: Relayed, { rate, cpu }: Relayed) =>
  `${((rate / one.rate) * 100).toFixed(1)} % of one destination's rate, ${((one.cpu / cpu) * 100).toFixed(1)} % by CPU`;

function shuffledNumbers(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, at) => at);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1));
    [numbers[at], numbers[other]] = [numbers[other] as number, numbers[at] as number];
  }
  return numbers;
}
