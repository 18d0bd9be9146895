export * from './create.js';
export { FsBlobStore } from './fs.js';
export * from './inline.js';
export * from './leaving.js';
export * from './port.js';
export { RedisBlobStore } from './redis.js';
export { S3BlobStore } from './s3.js';
export * from './spool.js';
