import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join, resolve } from 'node:path';

/** What to do about a data folder or a Redis that cannot be used. */
export class EmbeddedRedisError extends Error {}

const NAMES = ['redis-server', 'valkey-server'];
const PLACES = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/opt/homebrew/bin'];
const START_TIMEOUT = 60_000;
const FIRST_RESTART = 200;
const LONGEST_RESTART = 5_000;

/** @returns the path of a redis-server or valkey-server, undefined where there is none. */
export function findRedis(path: string): string | undefined {
  return [...path.split(delimiter), ...PLACES]
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((file) => existsSync(file));
}

export interface EmbeddedRedisOptions {
  readonly dir: string;
  readonly port: number;
  /** PATH to look for the program in. */
  readonly path: string;
  readonly onCrash?: (code: number | null) => void;
}

/**
 * A redis-server of this relay's own: data in a folder, `appendfsync always`, `noeviction`, loopback only. It is started
 * again when it dies, and stopped last.
 */
export class EmbeddedRedis {
  #child: ChildProcess | undefined;
  #stopping = false;
  #pause = FIRST_RESTART;

  constructor(private readonly options: EmbeddedRedisOptions) {}

  get url(): string {
    return `redis://127.0.0.1:${this.options.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** @throws EmbeddedRedisError that says what to do. */
  async start(): Promise<void> {
    const program = findRedis(this.options.path);
    if (!program) {
      throw new EmbeddedRedisError(
        'There is no redis-server or valkey-server; install one with the package manager (such as "apt-get install redis-server")',
      );
    }
    mkdirSync(this.options.dir, { recursive: true, mode: 0o700 });
    await this.#lock();
    this.#spawn(program);
    await this.#ready();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await gone;
    }
    rmSync(this.#lockFile, { force: true });
  }

  get #lockFile(): string {
    return join(this.options.dir, 'waypost.lock');
  }

  /** One relay a data folder. What a killed relay left running is stopped, since two servers would share one AOF. */
  async #lock(): Promise<void> {
    if (existsSync(this.#lockFile)) {
      const [owner, redis] = readFileSync(this.#lockFile, 'utf8').split('\n').map(Number);
      if (owner && owner !== process.pid && alive(owner, 'node')) {
        throw new EmbeddedRedisError(
          `Process ${owner} already uses ${resolve(this.options.dir)}; stop it, or give this one a data folder of its own`,
        );
      }
      if (redis && alive(redis, '-server')) await endProcess(redis);
    }
    writeFileSync(this.#lockFile, `${process.pid}\n`, { mode: 0o600 });
  }

  #spawn(program: string): void {
    const { dir, port } = this.options;
    const log = openSync(join(dir, 'redis.log'), 'a', 0o600);
    const settings = {
      port,
      bind: '127.0.0.1',
      dir: resolve(dir),
      appendonly: 'yes',
      appendfsync: 'always',
      save: '',
      'maxmemory-policy': 'noeviction',
      'no-appendfsync-on-rewrite': 'no',
      // Records are small hashes with long values: kept compact they take a tenth less memory.
      'hash-max-listpack-value': 4096,
      // Bodies pass through the log; rewriting it often would cost more than its room on disk.
      'auto-aof-rewrite-min-size': '256mb',
      'aof-load-truncated': 'yes',
      daemonize: 'no',
    };
    const args = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);
    // A group of its own: Ctrl-C is for us, and Redis goes last.
    const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
    this.#child = child;
    writeFileSync(this.#lockFile, `${process.pid}\n${child.pid ?? ''}\n`, { mode: 0o600 });
    child.once('exit', (code) => {
      if (this.#stopping) return;
      this.options.onCrash?.(code);
      setTimeout(() => !this.#stopping && this.#spawn(program), this.#pause).unref();
      this.#pause = Math.min(this.#pause * 2, LONGEST_RESTART);
    });
  }

  async #ready(): Promise<void> {
    const end = Date.now() + START_TIMEOUT;
    for (;;) {
      const owner = await processOf(this.options.port);
      // Another Redis on the port is not ours to write to: the one started here finds the port taken, and ends.
      if (owner !== undefined && owner === this.#child?.pid) break;
      if (Date.now() > end) {
        throw new EmbeddedRedisError(`Redis did not start; see ${join(this.options.dir, 'redis.log')}`);
      }
      if (this.#child?.exitCode !== null && this.#child?.exitCode !== undefined) {
        this.#stopping = true;
        throw new EmbeddedRedisError(
          `Redis ended at once (code ${this.#child.exitCode}); is port ${this.options.port} taken? See ${join(this.options.dir, 'redis.log')}`,
        );
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    this.#pause = FIRST_RESTART;
  }
}

/** Whether a process lives and is what we think; process ids come again after a reboot. */
function alive(pid: number, name: string): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const { stdout } = spawnSync('ps', ['-o', 'comm=', '-p', String(pid)], { encoding: 'utf8' });
  return typeof stdout !== 'string' || stdout.trim() === '' || stdout.includes(name);
}

async function endProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  for (let tries = 0; tries < 500 && alive(pid, '-server'); tries += 1)
    await new Promise((done) => setTimeout(done, 20));
}

/** @returns the process id of the Redis that answers on a port; undefined while none does or it still loads its data. */
function processOf(port: number): Promise<number | undefined> {
  return new Promise((done) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\nINFO server\r\n'));
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const pid = /^\+PONG[\s\S]*\r\nprocess_id:(\d+)\r\n/.exec(text)?.[1];
      if (pid !== undefined || text.startsWith('-')) socket.destroy();
      if (pid !== undefined) done(Number(pid));
    });
    socket.once('error', () => done(undefined));
    socket.once('close', () => done(undefined));
  });
}
