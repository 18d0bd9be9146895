import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WireVerdict } from './client.js';
import type { InlineVerdict, PolicyPort } from './port.js';
import { decode } from './wire.js';

export interface PolicyServerOptions {
  readonly host: string;
  readonly port: number;
  readonly secret: () => string;
  /** Octets of a request. */
  readonly limit: () => number;
  readonly onError: (error: Error) => void;
}

/** Lets ingress processes ask policy. Whoever has the secret may. */
export class PolicyServer {
  readonly #server: Server;

  constructor(
    private readonly policy: PolicyPort,
    private readonly options: PolicyServerOptions,
  ) {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: Error) => {
        this.options.onError(error);
        if (!response.headersSent) answer(response, error instanceof TooLargeError ? 413 : 500, { error: 'failed' });
        else response.destroy();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.options.port;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.options.port, this.options.host, resolve);
    });
  }

  /** Answers what is asked already. */
  async stop(deadline: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), deadline);
    await closed;
    clearTimeout(timer);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isSame(request.headers.authorization ?? '', `Bearer ${this.options.secret()}`)) {
      request.resume();
      return answer(response, 401, { error: 'the shared secret is missing or wrong' });
    }
    if (request.method !== 'POST' || (request.url !== '/judge' && request.url !== '/explain')) {
      request.resume();
      return answer(response, 404, { error: 'there is no such thing' });
    }
    const message = decode(await readAll(request, this.options.limit()));
    const judged =
      request.url === '/judge' ? onWire(await this.policy.judge(message)) : await this.policy.explain(message);
    answer(response, 200, judged);
  }
}

class TooLargeError extends Error {}

async function readAll(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > limit) throw new TooLargeError(`a request is larger than ${limit} octets`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function onWire(verdict: InlineVerdict): WireVerdict {
  if (verdict.kind === 'refuse') return verdict;
  const variants = verdict.variants.map(({ inline, ...draft }) =>
    inline ? { ...draft, inline: inline.toString('base64') } : draft,
  );
  return { ...verdict, variants };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** In time that tells nothing. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
