export * from './port.js';
export * from './inline.js';
