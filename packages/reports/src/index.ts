export { WAKE_REPORTS } from './keys.js';
export * from './ledger.js';
export * from './subject.js';
export * from './tls/collector.js';
export * from './tls/record.js';
export * from './tls/report.js';
export { forgetTls, readTls } from './tls/store.js';
