import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { type LoadOptions, loadConfig } from './load.js';
import type { Config } from './schema.js';

/** Sections that take effect without a restart. */
const RELOADED = [
  ...(['policy', 'routes', 'shaping', 'providers', 'egress', 'limits', 'tls', 'keys', 'delivery'] as const),
  'suppressions',
  'reports',
  'dkim',
  'bounces',
  'abuse',
  'arc',
  'rules',
  'held',
  'smime',
  'filters',
  'spam',
  'classifier',
] as const;
const SETTLE = 200;

export interface ConfigSourceOptions extends LoadOptions {
  readonly onReload?: (changed: readonly string[], needRestart: readonly string[]) => void;
  /** A bad file: the old configuration stays in force. */
  readonly onError?: (error: Error) => void;
}

/** The configuration in force; follows its file. */
export class ConfigSource {
  #current: Config;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws ConfigError when even the first reading fails. */
  constructor(private readonly options: ConfigSourceOptions) {
    this.#current = loadConfig(options);
  }

  get current(): Config {
    return this.#current;
  }

  /** Watches the file's folder, since editors and Kubernetes put a new file in its place. */
  watch(): void {
    if (!this.options.file) return;
    this.#watcher = watch(dirname(this.options.file), () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.reload(), SETTLE);
    });
    this.#watcher.unref();
  }

  close(): void {
    this.#watcher?.close();
    clearTimeout(this.#timer);
  }

  /** Reads the file again. @returns whether the new one is in force. */
  reload(): boolean {
    let next: Config;
    try {
      next = loadConfig(this.options);
    } catch (error) {
      this.options.onError?.(error as Error);
      return false;
    }
    const differs = (Object.keys(next) as (keyof Config)[]).filter(
      (key) => JSON.stringify(next[key]) !== JSON.stringify(this.#current[key]),
    );
    if (differs.length === 0) return true;
    const reloaded = Object.fromEntries(RELOADED.map((key) => [key, next[key]]));
    this.#current = { ...this.#current, ...reloaded } as Config;
    const restart = differs.filter((key) => !(RELOADED as readonly string[]).includes(key));
    this.options.onReload?.(differs, restart);
    return true;
  }
}
