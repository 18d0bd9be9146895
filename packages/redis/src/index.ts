export * from './command.js';
export * from './durability.js';
export * from './group-commit.js';
export * from './open.js';
