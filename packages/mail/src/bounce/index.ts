export * from './cause.js';
export * from './classify.js';
