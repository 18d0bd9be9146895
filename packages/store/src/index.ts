export * from './back-pressure.js';
export * from './committer.js';
export * from './events.js';
export * from './id.js';
export * from './messages.js';
export { recordKey } from './record.js';
export * from './suppressions.js';
export * from './keys.js';
