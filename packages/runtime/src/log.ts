import { formatReply, type MessageEvent } from '@waypost/mail';
import { destination, type Logger as PinoLogger, pino } from 'pino';

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

/** @returns a logger; lines are buffered, `flush` before the process ends. */
export function createLogger(level: LogLevel, fields: object = {}): Logger {
  const stream = destination({ fd: 1, sync: false, minLength: BUFFER });
  const root = pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime }, stream);
  const timer = setInterval(() => stream.flush(), FLUSH_EVERY);
  timer.unref();
  return wrap(root, () => {
    try {
      stream.flushSync();
    } catch {
      // Not open yet, so nothing was written.
    }
  });
}

function wrap(logger: PinoLogger, flush: () => void): Logger {
  return {
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    child: (fields) => wrap(logger.child(fields), flush),
    event: (event) => {
      if (!logger.isLevelEnabled('info')) return;
      const { traceparent, reply, at: _at, type, ...rest } = event;
      const line = { record: type, ...rest, ...(reply ? { reply: formatReply(reply) } : {}) };
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
