export * from './client/client.js';
export { type ProxiedWay, ProxyError, type ProxyFault } from './client/proxy.js';
export { type Endpoint, formatProxyHeader } from './client/proxy-header.js';
export * from './server/address-key.js';
export * from './server/certificates.js';
export type { SessionLimits } from './server/connection.js';
export * from './server/input-stream.js';
export * from './server/proxy-protocol.js';
export * from './server/server.js';
