export * from './dane.js';
export * from './mta-sts.js';
export * from './sts-policies.js';
export * from './tls-session.js';
