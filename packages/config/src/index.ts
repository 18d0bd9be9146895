export * from './environment.js';
export * from './json-schema.js';
export * from './load.js';
export * from './networks.js';
export * from './route.js';
export * from './schema.js';
export type { EgressPool, EgressSource, ProviderRule, ReplyRule, ShapingRule } from './shaping-schema.js';
export * from './source.js';
export * from './units.js';
