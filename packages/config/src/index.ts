export * from './schema.js';
export * from './units.js';
