export { WAKE_REPORTS } from './keys.js';
export * from './ledger.js';
export * from './subject.js';
