import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Lessons } from '@waypost/classifier';
import type { RedisHandle } from '@waypost/redis';
import type { Service } from '@waypost/runtime';
import { IdempotencyStore, RateLimiter } from '@waypost/store';
import { createHttpApp, type HttpDeps } from './app.js';

export interface HttpIngressDeps extends Omit<HttpDeps, 'limiter' | 'idempotency' | 'lessons' | 'version'> {
  readonly redis: RedisHandle;
}

/** The HTTP API's server. */
export interface HttpIngress extends Service {
  readonly port: number;
}

const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 120_000;

export function createHttpIngress(deps: HttpIngressDeps): HttpIngress {
  const { group } = deps.redis;
  const app = createHttpApp({
    ...deps,
    limiter: new RateLimiter(group),
    idempotency: new IdempotencyStore(group),
    lessons: new Lessons(group, () => deps.config().classifier.learning),
    version: '0.1.0',
  });
  let server: Server | undefined;
  return {
    name: 'http',
    get port() {
      return (server?.address() as AddressInfo | null)?.port ?? 0;
    },
    start: async () => {
      const { host, port } = deps.config().http;
      const started = createServer(
        { maxHeaderSize: 32_768, requestTimeout: REQUEST_TIMEOUT, headersTimeout: HEADERS_TIMEOUT },
        app,
      );
      server = started;
      await new Promise<void>((resolve, reject) => started.once('error', reject).listen(port, host, resolve));
    },
    stop: async (deadline) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      server?.close(() => resolve());
      server?.closeIdleConnections();
      const hurry = setTimeout(() => server?.closeAllConnections(), deadline);
      if (server) await promise;
      clearTimeout(hurry);
    },
    ready: () => deps.pressure.reason(),
  };
}
