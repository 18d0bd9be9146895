import { type IncomingMessage, Agent as PlainAgent, request as plainRequest, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { createGuard, FilterRefused, type GuardObserver, type GuardSettings } from './guard.js';
import { type FilterMessage, wholeBody } from './message.js';
import { type RspamdVerdict, readVerdict } from './rspamd-answer.js';

export interface RspamdSettings extends GuardSettings {
  /** `http://host:11333`, of a normal worker or a proxy. */
  readonly url: string;
  readonly password?: string | undefined;
  readonly maxSize: number;
  /** The name we go by. */
  readonly hostname: string;
}

export interface RspamdScanner {
  /** @throws FilterRefused where the message is over `maxSize`, FilterUnavailable where rspamd does not answer. */
  scan(message: FilterMessage): Promise<RspamdVerdict>;
  close(): void;
}

const ANSWER = 1_048_576;
/** Idle connections kept. */
const IDLE = 4;

/** Asks rspamd by HTTP POST /checkv2, with what is known of the session in request headers. */
export function createRspamd(settings: RspamdSettings, observer: GuardObserver): RspamdScanner {
  const guard = createGuard('rspamd', settings, observer);
  const url = new URL(`${settings.url.replace(/\/+$/, '')}/checkv2`);
  const options = { keepAlive: true, maxSockets: settings.concurrency, maxFreeSockets: IDLE };
  const tls = url.protocol === 'https:';
  const agent = tls ? new TlsAgent(options) : new PlainAgent(options);
  const request = tls ? tlsRequest : plainRequest;

  return {
    scan: async (message) => {
      if (message.size > settings.maxSize) {
        throw new FilterRefused(`${message.size} octets are over the limit of ${settings.maxSize}`);
      }
      const body = await wholeBody(message);
      return guard.run(async (signal) => {
        const headers = { ...sessionHeaders(message, settings), 'Content-Length': body.length };
        return readVerdict(await post({ method: 'POST', agent, headers, signal }, body));
      });
    },
    close: () => {
      // Requests under way are answered; their connections are not kept after that.
      agent.maxFreeSockets = 0;
      for (const socket of Object.values(agent.freeSockets).flatMap((list) => list ?? [])) socket.destroy();
    },
  };

  function post(given: RequestOptions, body: Buffer, again = true): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = request(url, given, (response) => readBody(response).then(resolve, reject));
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // The other side may close a kept connection just as it is used; asking again changes nothing.
        const stale = again && sent.reusedSocket && error.code === 'ECONNRESET';
        if (stale) post(given, body, false).then(resolve, reject);
        else reject(error);
      });
      sent.end(body);
    });
  }
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > ANSWER) throw new Error('the answer is too long');
    chunks.push(chunk as Buffer);
  }
  if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}`);
  return Buffer.concat(chunks).toString('utf8');
}

/** What is known of the session, as rspamd names it; only what can stand in a header field. */
function sessionHeaders(message: FilterMessage, settings: RspamdSettings): Record<string, string | string[]> {
  const { id, remoteAddress, helo, sender, recipients, user, tls } = message;
  const given: Record<string, string | undefined> = {
    'Queue-Id': id,
    From: sender === '' ? undefined : sender,
    IP: remoteAddress,
    Helo: helo,
    User: user,
    'TLS-Version': tls?.split(' ')[0],
    'TLS-Cipher': tls?.split(' ')[1],
    'MTA-Name': settings.hostname,
    Password: settings.password,
  };
  const fields = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, octetsOf(value)] as const],
  );
  return { ...Object.fromEntries(fields), Rcpt: recipients.slice(0, MOST_RECIPIENTS).map(octetsOf) };
}

/** More would make the request's header too long. */
const MOST_RECIPIENTS = 100;
/** Node writes header values as Latin-1; rspamd reads them as UTF-8. */
const octetsOf = (text: string) => Buffer.from(text.replace(/[\x00-\x1f\x7f]/g, '')).toString('latin1');
