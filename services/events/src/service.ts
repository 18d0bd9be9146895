import type { PolicyQueue } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime, Service } from '@waypost/runtime';
import type { BlobStore } from '@waypost/spool';
import type { MessageStore } from '@waypost/store';
import { Reconciler } from './reconciler.js';

export interface EventsDeps {
  readonly runtime: Runtime;
  readonly redis: RedisHandle;
  readonly store: MessageStore;
  readonly queue: PolicyQueue;
  readonly blobs: BlobStore;
}

const EVERY = 60_000;

/** Work beside the path of a message: the reconciler. */
export function createEvents(deps: EventsDeps): Service {
  const reconciler = new Reconciler({ ...deps, executor: deps.redis.group });
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  const pass = () => {
    running = running
      .then(() => reconciler.pass())
      .catch((error: Error) => deps.runtime.log.warn({ error: error.message }, 'the reconciler could not finish'));
  };
  return {
    name: 'events',
    start: async () => {
      timer = setInterval(pass, EVERY);
    },
    stop: async () => {
      clearInterval(timer);
      await running;
    },
    ready: () => (deps.redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
