export * from './envelope.js';
export * from './reply.js';
export * from './message.js';
export * from './job.js';
