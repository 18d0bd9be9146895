export { BullQueue, JobLostError, loadBullScripts } from './bull.js';
export * from './lane-queue.js';
export * from './lane-scheduler.js';
export * from './names.js';
export * from './persist.js';
export * from './policy-consumer.js';
export * from './policy-queue.js';
export * from './port.js';
export * from './presence.js';
