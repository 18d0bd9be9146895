import type { Socket } from 'node:net';
import { type Endpoint, openSocket } from './endpoint.js';
import { readAnswer, write } from './exchange.js';
import { createGuard, FilterRefused, type GuardObserver, type GuardSettings } from './guard.js';
import type { FilterMessage } from './message.js';

export interface ClamdSettings extends GuardSettings {
  readonly endpoint: Endpoint;
  /** Octets that are sent to be scanned; not over clamd's StreamMaxLength. */
  readonly maxSize: number;
}

export type ClamdVerdict = { readonly kind: 'clean' } | { readonly kind: 'infected'; readonly virus: string };

export interface ClamdScanner {
  /**
   * @throws FilterRefused where the message is over `maxSize` or over clamd's own limit; FilterUnavailable where clamd
   *   does not answer.
   */
  scan(message: FilterMessage): Promise<ClamdVerdict>;
  close(): void;
}

const CHUNK = 65_536;
const ANSWER = 4_096;
/** Idle sessions kept; each holds a thread of clamd. */
const IDLE = 2;
/** Milliseconds an idle session is kept, less than clamd's IdleTimeout (30 s by default). */
const IDLE_FOR = 10_000;

/** Scans messages by clamd's INSTREAM (clamd(8)), streamed as they are read, over sessions that are used again. */
export function createClamd(settings: ClamdSettings, observer: GuardObserver): ClamdScanner {
  const guard = createGuard('clamd', settings, observer);
  const idle: { socket: Socket; timer: NodeJS.Timeout; requests: number }[] = [];
  let closed = false;

  return {
    scan: async (message) => {
      if (message.size > settings.maxSize) throw tooLarge(message.size, settings.maxSize);
      return guard.run((signal) => scan(message, signal));
    },
    close: () => {
      closed = true;
      for (const { socket, timer } of idle.splice(0)) {
        clearTimeout(timer);
        socket.destroy();
      }
    },
  };

  async function scan(message: FilterMessage, signal: AbortSignal): Promise<ClamdVerdict> {
    const kept = idle.pop();
    if (kept) {
      clearTimeout(kept.timer);
      const answer = await ask(kept.socket, message, signal, kept.requests + 1).catch((error: unknown) => {
        if (error instanceof FilterRefused || signal.aborted) throw error;
        // clamd may have ended the session while it was idle; scanning again changes nothing.
        return undefined;
      });
      if (answer) return answer;
    }
    const socket = await openSocket(settings.endpoint, signal);
    socket.write('zIDSESSION\0');
    return ask(socket, message, signal, 1);
  }

  async function ask(socket: Socket, message: FilterMessage, signal: AbortSignal, request: number) {
    const stop = () => socket.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const answer = readAnswer(socket, untilNul, ANSWER);
      // It is awaited after the message is sent; it may fail before.
      answer.catch(() => {});
      await send(socket, message);
      const verdict = verdictOf(await answer, message.size);
      keep(socket, request);
      return verdict;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  function keep(socket: Socket, requests: number): void {
    if (closed || idle.length >= IDLE || !socket.writable) return void socket.destroy();
    const entry = { socket, requests, timer: setTimeout(drop, IDLE_FOR) };
    entry.timer.unref();
    socket.once('close', drop);
    idle.push(entry);
    function drop() {
      const at = idle.indexOf(entry);
      if (at >= 0) idle.splice(at, 1);
      clearTimeout(entry.timer);
      socket.destroy();
    }
  }
}

/** Sends the message in chunks, each after its length; a chunk of no length ends it. */
async function send(socket: Socket, message: FilterMessage): Promise<void> {
  socket.write('zINSTREAM\0');
  const body = await message.body();
  for await (const part of Buffer.isBuffer(body) ? [body] : body) {
    for (let at = 0; at < part.length; at += CHUNK) {
      const chunk = (part as Buffer).subarray(at, at + CHUNK);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(chunk.length);
      socket.cork();
      socket.write(length);
      const more = write(socket, chunk);
      socket.uncork();
      // clamd says why it stopped reading, such as its limit: the answer is on its way.
      if (!(await more)) return;
    }
  }
  await write(socket, Buffer.alloc(4));
}

const untilNul = (soFar: Buffer) => {
  const end = soFar.indexOf(0);
  return end < 0 ? undefined : soFar.toString('utf8', 0, end);
};

function verdictOf(answer: string, size: number): ClamdVerdict {
  // Answers in a session start with the number of the request.
  const text = answer.replace(/^\d+: /, '').replace(/^stream: /, '');
  if (text === 'OK') return { kind: 'clean' };
  const virus = /^(.{1,200}?)(?:\([0-9a-f]+:\d+\))? FOUND$/.exec(text)?.[1];
  if (virus) return { kind: 'infected', virus };
  if (/size limit exceeded/i.test(text)) throw tooLarge(size, undefined);
  throw new Error(`clamd answered: ${text.slice(0, 200)}`);
}

const tooLarge = (size: number, limit: number | undefined) =>
  new FilterRefused(
    `${size} octets are over ${limit === undefined ? "clamd's StreamMaxLength" : `the limit of ${limit}`}`,
  );
