export type { BounceSettings } from './bounces-schema.js';
export { bounceSecrets } from './check-bounces.js';
export * from './endpoint.js';

export * from './environment.js';
export type { ClamdConfig, MailKind, MilterConfig, RspamdConfig, SpamdConfig } from './filters-schema.js';
export * from './json-schema.js';
export * from './load.js';
export * from './networks.js';
export * from './private-key.js';
export * from './proxy.js';
export * from './route.js';
export * from './schema.js';
export type { EgressPool, EgressSource, ProviderRule, ReplyRule, ShapingRule } from './shaping-schema.js';
export type { DkimDomain, DkimSettings } from './signing-schema.js';
export * from './source.js';
export type { SpamConfig, SpamThresholds } from './spam-schema.js';
export type { SuppressionRule } from './suppressions-schema.js';
export * from './units.js';
