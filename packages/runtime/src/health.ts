import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.js';
import type { Service } from './service.js';

export interface HealthOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly services: () => readonly Service[];
}

/** The private port: `/healthz` (the process lives), `/readyz` (it can take work), `/metrics`. */
export class HealthServer implements Service {
  readonly name = 'health';
  #server: Server | undefined;
  #stage: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(private readonly options: HealthOptions) {}

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0];
      if (path === '/metrics') return void this.#metrics(response);
      if (path === '/healthz') return void response.end('ok\n');
      if (path !== '/readyz') return void response.writeHead(404).end('not found\n');
      const reasons = this.reasons();
      response.writeHead(reasons.length > 0 ? 503 : 200, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ ready: reasons.length === 0, reasons })}\n`);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.options.port, this.options.host, resolve);
    });
  }

  /** Why the process is not ready; empty when it is. */
  reasons(): string[] {
    if (this.#stage !== 'running') return [this.#stage];
    return this.options.services().flatMap((service) => {
      const reason = service.ready();
      return reason ? [`${service.name}: ${reason}`] : [];
    });
  }

  /** Every service is started: from here on each speaks for itself. */
  started(): void {
    this.#stage = 'running';
  }

  /** Readiness fails from here on. */
  stopping(): void {
    this.#stage = 'stopping';
  }

  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? 0;
  }

  ready(): string | undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()));
  }

  async #metrics(response: import('node:http').ServerResponse): Promise<void> {
    const { registry } = this.options.metrics;
    const text = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(text);
  }
}
