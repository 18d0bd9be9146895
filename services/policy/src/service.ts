import { ReportReader } from '@waypost/bounces';
import { Layers, Lessons } from '@waypost/classifier';
import type { MailResolver } from '@waypost/dns';
import { type PolicyPort, PolicyServer } from '@waypost/inline';
import { PolicyConsumer } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Service } from '@waypost/runtime';
import { Keyring } from '@waypost/signing';
import { createSmimePool } from '@waypost/smime';
import { takeWindow } from '@waypost/store';
import type { AuthenticatedMessage } from './checks/auth.js';
import { configuredChecks } from './checks/index.js';
import { createDmarcCounter } from './dmarc-counts.js';
import { createPolicyPort } from './inline/policy-port.js';
import { Judge } from './judge.js';
import { ReportHandler } from './returned/handler.js';
import type { TakeCount } from './rules/act.js';
import { SmimeMaterial } from './smime-material.js';
import { PolicyWorker, type WorkerDeps } from './worker.js';

export interface PolicyDeps extends Omit<WorkerDeps, 'judge' | 'reports' | 'executor'> {
  readonly redis: RedisHandle;
  readonly resolver: MailResolver;
  /** This process, unique for its life. */
  readonly replica: string;
}

/** The policy stage, and how the other services of its process ask it directly. */
export interface Policy {
  readonly service: Service;
  readonly port: PolicyPort;
}

/** Octets of a request beside the message in it. */
const ENVELOPE = 4_194_304;

/** Judges accepted messages and routes them to their lanes. */
export function createPolicy(deps: PolicyDeps): Policy {
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
  const reports = new ReportHandler({ ...deps, reader });
  const worker = new PolicyWorker({ ...deps, judge, reports, executor: redis.group });
  const port = createPolicyPort({ ...deps, judge, isReport: (meta) => reports.covers(meta) });
  const server = createServer(port, deps);
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
  const service: Service = {
    name: 'policy',
    start: async () => {
      await material.load();
      counter.start();
      await layers.start();
      await consumer.start();
      await server?.start();
    },
    stop: async (deadline) => {
      layers.stop();
      await Promise.all([consumer.drain(deadline), server?.stop(deadline)]).finally(() =>
        Promise.all([pool.close(), reader.close(), counter.stop()]),
      );
    },
    ready: () => (redis.group.available ? undefined : 'Redis cannot be reached'),
  };
  return { service, port };
}

/** @returns the server that other processes ask, where the configuration wants one. */
function createServer(port: PolicyPort, { config, runtime }: PolicyDeps): PolicyServer | undefined {
  const { listen } = config().policy.inline;
  const [, host = '', number = ''] = /^(.*):(\d+)$/.exec(listen ?? '') ?? [];
  if (listen === undefined) return undefined;
  return new PolicyServer(port, {
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(number),
    secret: () => config().policy.inline.secret ?? '',
    limit: () => config().limits.message_size + ENVELOPE,
    onError: (error) => runtime.log.warn({ error: error.message }, 'a question to policy failed'),
  });
}
