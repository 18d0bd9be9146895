export * from './return-path.js';
export * from './token.js';
