// A process that takes lane and policy jobs and never ends them; run by tests as `node lane-holder.ts <redis url> <replica>`.
import { loadConfig } from '@waypost/config';
import { LaneScheduler, loadBullScripts, PolicyConsumer, PolicyQueue, Presence } from '@waypost/queue';
import { openRedis } from '@waypost/redis';

const [url, replica = 'holder'] = process.argv.slice(2);
const redis = await openRedis(loadConfig({ text: JSON.stringify({ redis: { url } }) }).redis);
await loadBullScripts(redis.client);
const policy = new PolicyQueue(2);
const never = new Promise<never>(() => undefined);

await new Presence({ executor: redis.group, replica, policy }).start();
await new PolicyConsumer({
  redis,
  queue: policy,
  replica,
  concurrency: 1,
  retry: 1000,
  handle: ({ ids }) => {
    process.stdout.write(`policy ${ids.join(' ')}\n`);
    return never;
  },
}).start();
await new LaneScheduler({
  redis,
  replica,
  idle: 100,
  maxSessions: () => 1000,
  handler: {
    limit: () => 2,
    offers: (lane) => [{ limits: [{ key: `site:${lane}`, connections: 2, rates: [] }], scopes: [] }],
    open: () => ({
      alive: true,
      attempt: ({ id }) => {
        process.stdout.write(`lane ${id}\n`);
        return never;
      },
      close: async () => undefined,
    }),
  },
  ledger: {
    settle: () => [],
    recorded: () => undefined,
    progress: () => ({ name: 'ping', args: [] }),
    open: () => ({ open: [] }),
  },
}).start();
