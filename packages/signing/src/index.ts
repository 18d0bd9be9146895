export * from './dkim.js';
export * from './generate.js';
export * from './keyring.js';
export * from './message.js';
export * from './record.js';
export * from './relaxed.js';
export * from './tags.js';
