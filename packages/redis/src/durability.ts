import type { RedisConfig } from '@waypost/config';
import type { Redis } from 'ioredis';

/** Redis is set up so that it could lose what was answered 250; the message says what to set. */
export class RedisSetupError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RedisSetupError';
  }
}

/**
 * Refuses a Redis whose settings cannot honour the configured durability (design §2.1).
 * @throws RedisSetupError
 */
export async function checkDurability(client: Redis, config: RedisConfig): Promise<void> {
  const settings = await readSettings(client, config);
  const policy = settings.get('maxmemory-policy') ?? 'noeviction';
  if (policy !== 'noeviction') {
    throw new RedisSetupError(
      `Redis may evict queued mail: maxmemory-policy is "${policy}". Set "maxmemory-policy noeviction" on that server.`,
    );
  }
  if (config.durability === 'fsync') {
    if (settings.get('appendonly') !== 'yes' || settings.get('appendfsync') !== 'always') {
      throw new RedisSetupError(
        `durability is "fsync", but Redis has appendonly "${settings.get('appendonly')}" and appendfsync ` +
          `"${settings.get('appendfsync')}". Set "appendonly yes" and "appendfsync always" there, or choose ` +
          'redis.durability "replica" or "memory" in the configuration.',
      );
    }
  }
  if (config.durability === 'replica') {
    const replicas = Number(/connected_slaves:(\d+)/.exec(await client.info('replication'))?.[1] ?? 0);
    if (replicas < config.replicas) {
      throw new RedisSetupError(
        `durability is "replica" with ${config.replicas} replicas, but Redis has ${replicas} connected. ` +
          'Connect more, or lower redis.replicas.',
      );
    }
  }
}

async function readSettings(client: Redis, config: RedisConfig): Promise<Map<string, string>> {
  const settings = new Map<string, string>();
  try {
    for (const name of ['maxmemory-policy', 'appendonly', 'appendfsync']) {
      const reply = (await client.config('GET', name)) as string[];
      if (reply[1] !== undefined) settings.set(name, reply[1]);
    }
  } catch (error) {
    // Managed services forbid CONFIG; INFO still tells the eviction policy and whether there is an AOF.
    const info = await client.info();
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    if (policy) settings.set('maxmemory-policy', policy);
    if (config.durability !== 'fsync') return settings;
    if (/^aof_enabled:0/m.test(info)) settings.set('appendonly', 'no').set('appendfsync', 'unknown');
    else {
      throw new RedisSetupError(
        `Redis does not let its settings be read (${(error as Error).message}), so that "appendfsync always" cannot be ` +
          'confirmed. Allow this user "CONFIG GET", or set redis.durability to "replica" or "memory".',
      );
    }
  }
  return settings;
}
