export type { Authenticator, Credential } from './ports.js';
export { createSmtpIngress, type Ingress, type IngressDeps } from './service.js';
