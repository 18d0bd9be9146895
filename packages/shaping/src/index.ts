export * from './lane-name.js';
export * from './mail-match.js';
export * from './offer.js';
export * from './plan.js';
export * from './providers.js';
export * from './replies.js';
export * from './site.js';
export * from './site-finder.js';
