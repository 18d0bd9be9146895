import { type Endpoint, openSocket } from './endpoint.js';
import { readAnswer, write } from './exchange.js';
import { createGuard, FilterRefused, type GuardObserver, type GuardSettings } from './guard.js';
import { type FilterMessage, wholeBody } from './message.js';

export interface SpamdSettings extends GuardSettings {
  readonly endpoint: Endpoint;
  readonly maxSize: number;
  /** Whose settings spamd takes; its default where absent. */
  readonly user?: string | undefined;
}

export interface SpamdVerdict {
  readonly spam: boolean;
  readonly score: number;
  /** The score from which spamd calls it spam. */
  readonly threshold: number;
  /** Names of the rules that matched. */
  readonly symbols: readonly string[];
}

export interface SpamdScanner {
  /** @throws FilterRefused where the message is over `maxSize`, FilterUnavailable where spamd does not answer. */
  scan(message: FilterMessage): Promise<SpamdVerdict>;
}

const ANSWER = 262_144;

/**
 * Asks SpamAssassin's spamd for its score and rules by SYMBOLS of the SPAMC protocol 1.5 (spamd/PROTOCOL in its source).
 * The protocol has one request a connection.
 */
export function createSpamd(settings: SpamdSettings, observer: GuardObserver): SpamdScanner {
  const guard = createGuard('spamd', settings, observer);
  return {
    scan: async (message) => {
      if (message.size > settings.maxSize) {
        throw new FilterRefused(`${message.size} octets are over the limit of ${settings.maxSize}`);
      }
      const body = await wholeBody(message);
      return guard.run(async (signal) => {
        const socket = await openSocket(settings.endpoint, signal);
        try {
          const answer = readAnswer(socket, readResponse, ANSWER);
          answer.catch(() => {});
          const user = settings.user ? `User: ${settings.user}\r\n` : '';
          socket.write(`SYMBOLS SPAMC/1.5\r\nContent-length: ${body.length}\r\n${user}\r\n`);
          await write(socket, body);
          socket.end();
          return await answer;
        } finally {
          socket.destroy();
        }
      });
    },
  };
}

/** @returns undefined while the answer is not whole. @throws Error for an answer that is no verdict. */
function readResponse(soFar: Buffer, ended: boolean): SpamdVerdict | undefined {
  const head = soFar.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const [first = '', ...lines] = soFar.toString('latin1', 0, head).split('\r\n');
  const [, code, text] = /^SPAMD\/[\d.]+ (\d+) (.*)$/.exec(first) ?? [];
  if (code !== '0') throw new Error(`spamd answered: ${(text ?? first).slice(0, 200)}`);
  const field = (name: string) =>
    lines.find((line) => line.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1);
  const body = soFar.subarray(head + 4);
  const length = Number(field('content-length') ?? Number.NaN);
  if (Number.isNaN(length) ? !ended : body.length < length) return undefined;
  const [, spam, score, threshold] =
    /^\s*(true|yes|false|no)\s*;\s*(-?\d+(?:\.\d+)?)\s*\/\s*(-?\d+(?:\.\d+)?)/i.exec(field('spam') ?? '') ?? [];
  if (!spam) throw new Error('spamd answered without a verdict');
  return {
    spam: /^(?:true|yes)$/i.test(spam),
    score: Number(score),
    threshold: Number(threshold),
    symbols: body
      .toString('latin1')
      .split(/[\s,]+/)
      .filter((name) => /^\w{1,100}$/.test(name)),
  };
}
