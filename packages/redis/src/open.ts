import type { RedisConfig } from '@waypost/config';
import { Redis, type RedisOptions } from 'ioredis';
import { checkDurability } from './durability.js';
import { GroupCommit, type GroupCommitOptions } from './group-commit.js';

/** What a process holds of Redis: one connection for commands, one for wake-ups. */
export interface RedisHandle {
  readonly group: GroupCommit;
  /** For commands outside the group: administration, blocking reads by `duplicate()`. */
  readonly client: Redis;
  /** In subscriber mode. */
  readonly subscriber: Redis;
  /** Octets used and the limit, 0 where there is none. */
  memory(): Promise<{ used: number; max: number }>;
  close(): Promise<void>;
}

export interface OpenOptions extends Pick<GroupCommitOptions, 'onGroup'> {
  readonly onError?: (error: Error) => void;
  /** Shown in CLIENT LIST. */
  readonly name?: string;
}

/**
 * Connects, and refuses a Redis that cannot keep what the configured durability promises.
 * @throws RedisSetupError with a sentence that says what to set.
 */
export async function openRedis(config: RedisConfig, options: OpenOptions = {}): Promise<RedisHandle> {
  const client = createClient(config, options.name ?? 'waypost');
  client.on('error', (error) => options.onError?.(error));
  await connected(client);
  try {
    await checkDurability(client, config);
  } catch (error) {
    client.disconnect();
    throw error;
  }
  const subscriber = client.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null });
  subscriber.on('error', (error) => options.onError?.(error));
  const group = new GroupCommit(client, {
    replicas: config.durability === 'replica' ? config.replicas : 0,
    ...(options.onGroup ? { onGroup: options.onGroup } : {}),
  });
  return {
    group,
    client,
    subscriber,
    memory: async () => parseMemory(await client.info('memory')),
    close: async () => {
      subscriber.disconnect();
      await client.quit().catch(() => client.disconnect());
    },
  };
}

function createClient(config: RedisConfig, name: string): Redis {
  const common: RedisOptions & { replyMapping: 'legacy' } = {
    replyMapping: 'legacy',
    connectionName: name,
    // Redis away: fail at once, so that ingress can answer 451 instead of holding the client.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // With more, ioredis forgets commands under way when the first reconnect succeeds: neither sent again nor rejected.
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 5), 1000),
    enableReadyCheck: true,
    ...(config.username ? { username: config.username } : {}),
    ...(config.password ? { password: config.password } : {}),
  };
  if (config.sentinel) {
    const sentinels = config.sentinel.hosts.map((host) => {
      const [address = '127.0.0.1', port = '26379'] = host.split(/:(?=\d+$)/);
      return { host: address, port: Number(port) };
    });
    return new Redis({
      ...common,
      sentinels,
      name: config.sentinel.name,
      ...(config.sentinel.password ? { sentinelPassword: config.sentinel.password } : {}),
    });
  }
  return new Redis(config.url ?? 'redis://127.0.0.1:6379', common);
}

function connected(client: Redis): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last: Error | undefined;
    const done = (error?: Error) => {
      clearTimeout(timer);
      client.off('ready', done);
      client.off('error', failed);
      if (error) reject(error);
      else resolve();
    };
    const failed = (error: Error) => {
      last = error;
    };
    const timer = setTimeout(() => {
      client.disconnect();
      done(new Error(`Redis cannot be reached: ${last?.message ?? 'no answer within 10 s'}`, { cause: last }));
    }, 10_000);
    client.once('ready', () => done());
    client.on('error', failed);
  });
}

function parseMemory(info: string): { used: number; max: number } {
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return { used: field('used_memory'), max: field('maxmemory') };
}
