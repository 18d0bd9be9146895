export * from './ports.js';
export * from './programs.js';
export * from './redis.js';
export * from './smtp-dialog.js';
export * from './smtp-load.js';
export * from './smtp-peer.js';
export * from './wait.js';
export * from './waypost.js';
