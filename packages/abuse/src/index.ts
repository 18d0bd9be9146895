export * from './bans/bans.js';
export * from './bans/records.js';
export * from './bans/table.js';
export * from './ip.js';
export * from './limits/limiter.js';
export { type Charge, LimitedError, type Usage } from './limits/usage.js';
