import type { Logger } from './log.js';
import type { Metrics } from './metrics.js';
import type { Tracer } from './traces.js';

/** What every service needs beside its own parts. */
export interface Runtime {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
}
