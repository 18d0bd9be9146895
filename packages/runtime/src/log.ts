import { formatReply, type MessageEvent } from '@waypost/mail';
import { destination, type Logger as PinoLogger, pino } from 'pino';
import { createRedact, type PiiRules, type Redact } from './redact.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** JSON logs on standard output. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
  child(fields: object): Logger;
  /** One line a transition of a message, in the manner of KumoMTA's log records. */
  event(event: MessageEvent): void;
  flush(): void;
}

/** Lines are written when this many octets wait, or at the next flush. */
const BUFFER = 4096;
const FLUSH_EVERY = 500;

/**
 * @param rules what lines may tell of people; secrets and bodies they never tell.
 * @returns a logger; lines are buffered, `flush` before the process ends.
 */
export function createLogger(level: LogLevel, fields: object = {}, rules: PiiRules = { pii: 'full' }): Logger {
  const redact = createRedact(rules);
  const stream = destination({ fd: 1, sync: false, minLength: BUFFER });
  const root = pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime }, stream);
  const timer = setInterval(() => stream.flush(), FLUSH_EVERY);
  timer.unref();
  return wrap(root, redact, () => {
    try {
      stream.flushSync();
    } catch {
      // Not open yet, so nothing was written.
    }
  });
}

function wrap(logger: PinoLogger, redact: Redact, flush: () => void): Logger {
  const at = (level: Exclude<LogLevel, 'silent'>) => (fields: object, text: string) => {
    if (logger.isLevelEnabled(level)) logger[level](redact(fields), redact(text));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(logger.child(redact(fields)), redact, flush),
    event: (event) => {
      if (!logger.isLevelEnabled('info')) return;
      const { traceparent, reply, at: _at, type, ...rest } = event;
      const line = redact({ record: type, ...rest, ...(reply ? { reply: formatReply(reply) } : {}) });
      logger.info(traceparent ? { ...line, trace_id: traceparent.slice(3, 35) } : line, type);
    },
    flush,
  };
}

/** A logger that says nothing. */
export const silentLogger: Logger = createSilent();

function createSilent(): Logger {
  const nothing = () => undefined;
  return {
    ...{ debug: nothing, info: nothing, warn: nothing, error: nothing, event: nothing, flush: nothing },
    child: () => silentLogger,
  };
}
