export * from './certificates.js';
export type { EnvelopeOptions } from './cms/envelope.js';
export { decrypt, encrypt } from './cms/envelope.js';
export { sign } from './cms/sign.js';
export { emailsOf, type Verified, verify } from './cms/verify.js';
export * from './entity.js';
export * from './material.js';
export * from './pkcs12.js';
export * from './pool.js';
