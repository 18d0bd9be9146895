export * from './client.js';
export * from './port.js';
export * from './server.js';
