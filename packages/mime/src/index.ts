export * from './addresses.js';
export * from './message.js';
export * from './parameters.js';
export * from './parse.js';
export { decodeBase64, decodeQuotedPrintable } from './transfer.js';
export { decodeWords } from './words.js';
