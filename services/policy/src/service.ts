import { ReportReader } from '@waypost/bounces';
import { Layers, Lessons } from '@waypost/classifier';
import type { MailResolver } from '@waypost/dns';
import { PolicyConsumer } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Service } from '@waypost/runtime';
import { Keyring } from '@waypost/signing';
import { createSmimePool } from '@waypost/smime';
import { takeWindow } from '@waypost/store';
import type { AuthenticatedMessage } from './checks/auth.js';
import { configuredChecks } from './checks/index.js';
import { createDmarcCounter } from './dmarc-counts.js';
import { Judge } from './judge.js';
import type { TakeCount } from './rules/act.js';
import { SmimeMaterial } from './smime-material.js';
import { PolicyWorker, type WorkerDeps } from './worker.js';

export interface PolicyDeps extends Omit<WorkerDeps, 'judge' | 'executor' | 'reader'> {
  readonly redis: RedisHandle;
  readonly resolver: MailResolver;
  /** This process, unique for its life. */
  readonly replica: string;
}

/** Judges accepted messages and routes them to their lanes. */
export function createPolicy(deps: PolicyDeps): Service {
  const { runtime, config, redis, queue, replica, resolver } = deps;
  const counter = createDmarcCounter({ config, runtime, executor: redis.group });
  const keyring = new Keyring({ settings: () => config().dkim, resolver });
  const take: TakeCount = (key, rate, amount) => takeWindow(redis.group, key, rate, amount);
  const material = new SmimeMaterial(config, runtime.log);
  const pool = createSmimePool();
  const onDmarc = (message: AuthenticatedMessage) => counter.note(message);
  const layers = new Layers(redis.subscriber, new Lessons(redis.group, () => config().classifier.learning));
  const checks = configuredChecks({ config, runtime, keyring, resolver, take, material, pool, onDmarc, layers });
  const judge = new Judge({ ...deps, checks });
  const reader = new ReportReader();
  const worker = new PolicyWorker({ ...deps, judge, reader, executor: redis.group });
  const consumer = new PolicyConsumer({
    redis,
    queue,
    replica,
    concurrency: config().policy.concurrency,
    retry: config().policy.retry,
    handle: (job) => worker.handle(job),
    recorded: (job) => worker.recorded(job),
    onError: (error, context) => runtime.log.error({ error: error.message, stack: error.stack }, context),
  });
  return {
    name: 'policy',
    start: async () => {
      await material.load();
      counter.start();
      await layers.start();
      await consumer.start();
    },
    stop: async (deadline) => {
      layers.stop();
      await consumer.drain(deadline).finally(() => Promise.all([pool.close(), reader.close(), counter.stop()]));
    },
    ready: () => (redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
