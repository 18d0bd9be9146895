import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { freePort, waitFor } from '@waypost/testkit';

/** Waits until something listens on a loopback port. */
export async function listening(port: number, host = '127.0.0.1'): Promise<void> {
  const open = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, host, () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  await waitFor(`a listener on ${host}:${port}`, open);
}

/** Postfix's `smtp-sink`: takes mail and counts it. */
export class Sink {
  #count = 0;
  #waiting: { count: number; done: () => void } | undefined;

  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
  ) {
    let rest = '';
    child.stdout?.on('data', (data: Buffer) => {
      const text = rest + data.toString();
      const counts = [...text.matchAll(/mesg=(\d+)\s/g)];
      rest = text.slice(-80);
      const last = counts.at(-1);
      if (last) this.#count = Math.max(this.#count, Number(last[1]));
      if (this.#waiting && this.#count >= this.#waiting.count) this.#waiting.done();
    });
  }

  /** @param at a loopback address, and a port where it must be a certain one. */
  static async start(program: string, at: { host?: string; port?: number } = {}): Promise<Sink> {
    const { host = '127.0.0.1', port = await freePort() } = at;
    // It takes root's rights for a port below 1024 only, and wants to be told whom to be instead.
    const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const child = spawn(program, [...user, '-c', '-m', '20000', `${host}:${port}`, '1000'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await listening(port, host);
    return new Sink(port, child);
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves when so many messages have arrived since the start. */
  async reach(count: number, timeout: number): Promise<void> {
    if (this.#count >= count) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        reject(new Error(`only ${this.#count} of ${count} messages arrived within ${timeout / 1000} s`));
      }, timeout);
      this.#waiting = {
        count,
        done: () => {
          clearTimeout(timer);
          this.#waiting = undefined;
          resolve();
        },
      };
    });
  }

  stop(): void {
    this.child.kill();
  }
}

/** Several sinks on one port of several addresses: one alone slows down with thousands of open connections. */
export class Sinks {
  private constructor(private readonly sinks: readonly Sink[]) {}

  static async start(program: string, hosts: readonly string[], port: number): Promise<Sinks> {
    return new Sinks(await Promise.all(hosts.map((host) => Sink.start(program, { host, port }))));
  }

  get count(): number {
    return this.sinks.reduce((sum, { count }) => sum + count, 0);
  }

  /** Resolves when so many messages have arrived at all of them together since the start. */
  async reach(count: number, timeout: number): Promise<void> {
    const enough = async () => this.count >= count;
    await waitFor(`${count} messages at the sinks, of which ${this.count} are there`, enough, timeout);
  }

  stop(): void {
    for (const sink of this.sinks) sink.stop();
  }
}

export interface Load {
  readonly messages: number;
  readonly size: number;
  readonly sessions: number;
  /** One session for many messages, else a new connection for each. */
  readonly kept: boolean;
}

/** Sends a load with Postfix's `smtp-source`; resolves when every message was answered 250. */
export async function send(program: string, port: number, { messages, size, sessions, kept }: Load): Promise<void> {
  const args = ['-l', String(size), '-m', String(messages), '-s', String(sessions), '-f', 'a@bench.example'];
  const child = spawn(
    program,
    [...(kept ? ['-d'] : []), ...args, '-t', 'b@bench.example', '-M', 'source.bench.example', `127.0.0.1:${port}`],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  if (code !== 0) throw new Error(`smtp-source ended with code ${code}`);
}
