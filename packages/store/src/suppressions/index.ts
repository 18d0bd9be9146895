export * from './automatic.js';
export * from './csv.js';
export * from './store.js';
