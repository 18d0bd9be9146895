import { type BanSettings, Networks, type Offence } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import { prefixOf } from '../ip.js';
import { lastOf } from '../last-of.js';
import { offend, readBans } from './records.js';
import { BAN_NEWS } from './scripts.js';
import { BanTable } from './table.js';

export interface BansOptions {
  readonly redis: Pick<RedisHandle, 'group' | 'subscriber'>;
  readonly settings: () => BanSettings;
  /** Told of each offence that counts. */
  readonly onOffence?: (offence: Offence) => void;
  /** Told by the process whose report made the ban, and by no other. `till` in ms since the epoch. */
  readonly onBan?: (network: string, reason: Offence, till: number) => void;
  /** Told how many networks are known to be banned. */
  readonly onChange?: (size: number) => void;
  readonly onError?: (error: Error, context: string) => void;
}

interface Report {
  points: number;
  reason: Offence;
}

/** Between two readings of all bans, which mend what a lost message of news left wrong, ms. */
const REREAD = 60_000;
const NEWS_KEPT = 1000;

/**
 * Who is banned. Points are counted in Redis for all processes; a ban is published, so that each knows at once and answers
 * from memory. While Redis is away points are counted here, and bans made here hold here.
 */
export class Bans {
  readonly #table: BanTable;
  readonly #reports = new Map<string, Report>();
  readonly #exempt = lastOf((entries: readonly string[]) => new Networks(entries));
  /** Points while Redis is away. */
  readonly #alone = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  /** News that came while all bans were read: what was read may be older. */
  #meanwhile: [string, number][] = [];

  constructor(private readonly options: BansOptions) {
    this.#table = new BanTable(() => options.settings().max_entries);
  }

  async start(): Promise<void> {
    const { subscriber } = this.options.redis;
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#reread);
    await subscriber.subscribe(BAN_NEWS);
    await this.read();
    this.#timer = setInterval(this.#reread, REREAD);
    this.#timer.unref();
  }

  stop(): void {
    const { subscriber } = this.options.redis;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#reread);
    clearInterval(this.#timer);
  }

  #set(network: string, till: number): void {
    this.#table.set(network, till);
    this.options.onChange?.(this.#table.size);
  }

  /** Networks known to be banned. */
  get size(): number {
    return this.#table.size;
  }

  /** @returns until when an address is banned, ms since the epoch; undefined where it is not. */
  find(address: string | undefined): number | undefined {
    return this.options.settings().enabled ? this.#table.find(address) : undefined;
  }

  /** Counts something that an address did wrong; what happens in one turn of the loop is reported together. */
  offend(address: string | undefined, offence: Offence): void {
    const settings = this.options.settings();
    const points = settings.points[offence];
    if (!settings.enabled || points === 0 || this.#exempt(settings.exempt).has(address)) return;
    const network = prefixOf(address, { ipv4: settings.ipv4_prefix, ipv6: settings.ipv6_prefix });
    if (network === undefined) return;
    this.options.onOffence?.(offence);
    const report = this.#reports.get(network);
    if (report) {
      report.points += points;
      report.reason = offence;
    } else this.#reports.set(network, { points, reason: offence });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => void this.#report());
  }

  /** Reads all bans now. */
  async read(): Promise<void> {
    const { redis, settings } = this.options;
    this.#meanwhile = [];
    this.#table.replace(await readBans(redis.group, settings().max_entries));
    for (const [network, till] of this.#meanwhile) this.#table.set(network, till);
    this.#alone.clear();
    this.options.onChange?.(this.#table.size);
  }

  async #report(): Promise<void> {
    this.#scheduled = false;
    const reports = [...this.#reports];
    this.#reports.clear();
    const settings = this.options.settings();
    const commands = reports.map(([network, { points, reason }]) => offend(network, points, reason, settings));
    let replies: [number, number][];
    try {
      replies = (await this.options.redis.group.exec(commands)) as [number, number][];
    } catch {
      for (const [network, report] of reports) this.#countAlone(network, report, settings);
      return;
    }
    for (const [at, [network, { reason }]] of reports.entries()) {
      const [till, now] = replies[at] ?? [0, 0];
      if (till > 0) this.#set(network, till);
      if (now === 1) this.options.onBan?.(network, reason, till);
    }
  }

  #countAlone(network: string, { points, reason }: Report, settings: BanSettings): void {
    const sum = (this.#alone.get(network) ?? 0) + points;
    this.#alone.delete(network);
    if (sum < settings.threshold) {
      this.#alone.set(network, sum);
      if (this.#alone.size > settings.max_entries) this.#alone.delete(this.#alone.keys().next().value as string);
      return;
    }
    const till = Date.now() + settings.duration;
    this.#set(network, till);
    this.options.onBan?.(network, reason, till);
  }

  readonly #reread = (): void => {
    this.#table.prune();
    this.read().catch((error: Error) => this.options.onError?.(error, 'bans could not be read'));
  };

  readonly #onMessage = (channel: string, text: string): void => {
    if (channel !== BAN_NEWS) return;
    const { network, till } = JSON.parse(text) as { network: string; till: number };
    this.#set(network, till);
    this.#meanwhile.push([network, till]);
    if (this.#meanwhile.length > NEWS_KEPT) this.#meanwhile.shift();
  };
}
