export type { Check, CheckContext, Verdict } from './check.js';
export type { AttachmentFact, AuthResults, Findings, FoundSymbol } from './findings.js';
export { createPolicy, type Policy, type PolicyDeps } from './service.js';
