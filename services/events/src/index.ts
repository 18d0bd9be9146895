export { Reconciler, type ReconcilerDeps } from './reconciler.js';
export { createEvents, type EventsDeps } from './service.js';
