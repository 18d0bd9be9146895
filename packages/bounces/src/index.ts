export * from './parse.js';
export * from './report.js';
