import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '@waypost/runtime';
import { type ApiAppDeps, createApiApp } from './app.js';

export type ApiDeps = Omit<ApiAppDeps, 'openOnLoopback'>;

/** The admin API's server. */
export function createApi(deps: ApiDeps): Service & { readonly port: number } {
  let server: Server | undefined;
  return {
    name: 'api',
    get port() {
      return (server?.address() as AddressInfo | null)?.port ?? 0;
    },
    start: async () => {
      const { host, port } = deps.config().api;
      const started = createServer(createApiApp({ ...deps, openOnLoopback: deps.config().api.open_on_loopback }));
      server = started;
      await new Promise<void>((resolve, reject) => started.once('error', reject).listen(port, host, resolve));
    },
    stop: async () => {
      server?.closeAllConnections();
      await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    },
    ready: () => (deps.redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
