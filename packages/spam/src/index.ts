export { type AttachmentFact, checkAttachments } from './attachments.js';
export { type Client, checkClient } from './client.js';
export { registeredDomain } from './domains.js';
export * from './heuristics.js';
export * from './lists.js';
export { createLookalikeFinder, type LookalikeFinder } from './lookalike.js';
export * from './lookup.js';
export * from './symbols.js';
