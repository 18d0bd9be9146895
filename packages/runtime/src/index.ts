export * from './health.js';
export * from './log.js';
export * from './metrics.js';
export * from './redact.js';
export * from './runtime.js';
export * from './service.js';
export * from './traces.js';
