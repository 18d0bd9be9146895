export * from './abuse-schema.js';
export type { AuthConfig } from './auth-schema.js';
export type { BounceSettings } from './bounces-schema.js';
export { bounceSecrets } from './check-bounces.js';
export * from './endpoint.js';

export * from './environment.js';
export type { ClamdConfig, MailKind, MilterConfig, RspamdConfig, SpamdConfig } from './filters-schema.js';
export * from './json-schema.js';
export * from './load.js';
export * from './networks.js';
export * from './pattern.js';
export * from './private-key.js';
export * from './proxy.js';
export { reportsTo } from './reports-schema.js';
export * from './route.js';
export type {
  AttachmentCondition,
  HeaderCondition,
  RuleActions,
  RuleCondition,
  RuleConfig,
} from './rules-schema.js';
export * from './schema.js';
export type { EgressPool, EgressSource, ProviderRule, ReplyRule, ShapingRule } from './shaping-schema.js';
export type { ArcSettings, DkimDomain, DkimSettings } from './signing-schema.js';
export type { SmimeIdentity, SmimeSettings } from './smime-schema.js';
export * from './source.js';
export type { DnsListConfig, SpamConfig, SpamThresholds } from './spam-schema.js';
export type { SuppressionRule } from './suppressions-schema.js';
export * from './units.js';
export type { OnUnknownOutcome } from './unknown-outcome.js';
