export { createHttpApp, type HttpDeps } from './http/app.js';
export { createHttpIngress, type HttpIngress, type HttpIngressDeps } from './http/service.js';
export * from './in-flight.js';
export type { AbuseControl, Authenticator, Credential, NameChecks } from './ports.js';
export { createSmtpIngress, type Ingress, type IngressDeps } from './service.js';
