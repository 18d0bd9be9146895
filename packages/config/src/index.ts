export * from './environment.js';
export * from './json-schema.js';
export * from './load.js';
export * from './networks.js';
export * from './route.js';
export * from './schema.js';
export * from './source.js';
export * from './units.js';
