export * from './parse.js';
export * from './reader.js';
export * from './report.js';
