export type { Check, CheckContext, Verdict } from './check.js';
export { createPolicy, type PolicyDeps } from './service.js';
