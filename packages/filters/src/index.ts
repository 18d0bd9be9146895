export type { BreakerState } from './breaker.js';
export * from './clamd.js';
export type { Endpoint } from './endpoint.js';
export {
  type CallResult,
  createGuard,
  FilterRefused,
  FilterUnavailable,
  type GuardObserver,
  type GuardSettings,
} from './guard.js';
export type { FilterMessage } from './message.js';
export * from './milter.js';
export type { HeaderChange, MilterVerdict } from './milter-answer.js';
export * from './rspamd.js';
export type { RspamdVerdict } from './rspamd-answer.js';
export * from './spamd.js';
