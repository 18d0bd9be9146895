export type { Check, CheckContext, Verdict } from './check.js';
export type { AttachmentFact, AuthResults, Findings, FoundSymbol } from './findings.js';
export { createPolicy, type PolicyDeps } from './service.js';
