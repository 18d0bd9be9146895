export * from './errors.js';
export * from './hosts.js';
export * from './lookup.js';
export * from './names.js';
export type { RecordKind, RecordKinds } from './records.js';
export * from './resolver.js';
export type { ResolverSettings } from './settings.js';
export * from './validated-lookup.js';
