import { type BreakerState, CircuitBreaker } from './breaker.js';

/** How an outside filter is called. */
export interface GuardSettings {
  /** Milliseconds for a whole call, its wait for a place included. */
  readonly timeout: number;
  /** Calls at once. */
  readonly concurrency: number;
  /** Failures in a row after which the filter is left alone for a while. */
  readonly failures: number;
  /** Milliseconds it is left alone before one message tries it again. */
  readonly coolDown: number;
}

export type CallResult = 'ok' | 'failed' | 'timeout' | 'busy' | 'open';

/** What a guard tells of its calls, for metrics. */
export interface GuardObserver {
  /** @param seconds from asking to answer. */
  called(result: CallResult, seconds: number): void;
  state(state: BreakerState): void;
}

/** The filter gave no answer: it is down, too slow, too busy, or talks nonsense. */
export class FilterUnavailable extends Error {
  constructor(
    message: string,
    readonly result: CallResult,
  ) {
    super(message);
  }
}

/** What the filter answered is no failure of the filter, but no verdict either, such as "too large". */
export class FilterRefused extends Error {}

export interface Guard {
  readonly state: BreakerState;
  /**
   * @param work gives up what it holds once its signal is aborted; nothing waits for it any longer then.
   * @throws FilterUnavailable, or the FilterRefused that `work` threw.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Puts a time limit, a limit of concurrency and a circuit breaker around calls of one filter. */
export function createGuard(
  name: string,
  settings: GuardSettings,
  observer: GuardObserver,
  now: () => number = () => performance.now(),
): Guard {
  const breaker = new CircuitBreaker(settings, (state) => observer.state(state), now);
  const places = createPlaces(settings.concurrency);
  observer.state('closed');

  async function call<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (!(await places.take(signal))) throw new FilterUnavailable(`${name} is busy`, 'busy');
    try {
      // Asked here, not before the wait: the filter may have gone down meanwhile.
      if (!breaker.admit()) throw new FilterUnavailable(`${name} is down, tried again shortly`, 'open');
      return await report(work, signal);
    } finally {
      places.give();
    }
  }

  async function report<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      const answer = await orAborted(work(signal), signal);
      breaker.succeeded();
      return answer;
    } catch (error) {
      if (error instanceof FilterRefused) {
        breaker.succeeded();
        throw error;
      }
      breaker.failed();
      if (signal.aborted) throw new FilterUnavailable(`${name} gave no answer in ${settings.timeout} ms`, 'timeout');
      throw new FilterUnavailable(`${name} failed: ${(error as Error).message}`, 'failed');
    }
  }

  return {
    get state() {
      return breaker.state;
    },
    run: async (work) => {
      const started = now();
      const done = (result: CallResult) => observer.called(result, (now() - started) / 1000);
      try {
        const answer = await call(work, AbortSignal.timeout(settings.timeout));
        done('ok');
        return answer;
      } catch (error) {
        done(error instanceof FilterUnavailable ? error.result : 'ok');
        throw error;
      }
    },
  };
}

function orAborted<T>(working: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () => reject(new Error('out of time'));
  signal.addEventListener('abort', late, { once: true });
  return Promise.race([working, promise]).finally(() => signal.removeEventListener('abort', late));
}

/** Places for calls; who waits for one is served in order. */
function createPlaces(count: number) {
  let free = count;
  const waiting = new Set<() => void>();
  return {
    /** @returns false where the signal came first. */
    take(signal: AbortSignal): Promise<boolean> | boolean {
      if (free > 0) {
        free -= 1;
        return true;
      }
      return new Promise((resolve) => {
        const given = () => {
          signal.removeEventListener('abort', late);
          resolve(true);
        };
        const late = () => {
          waiting.delete(given);
          resolve(false);
        };
        signal.addEventListener('abort', late, { once: true });
        waiting.add(given);
      });
    },
    give(): void {
      const [next] = waiting;
      if (!next) free += 1;
      else {
        waiting.delete(next);
        next();
      }
    },
  };
}
