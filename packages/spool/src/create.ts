import type { Executor } from '@waypost/redis';
import { FsBlobStore } from './fs.js';
import type { BlobStore } from './port.js';
import { RedisBlobStore } from './redis.js';
import { S3BlobStore, type S3Options } from './s3.js';

export interface BlobConfig {
  readonly blobs: 'fs' | 's3' | 'redis';
  readonly dir: string;
  readonly s3?: S3Options | undefined;
}

/** @returns the configured store for bodies above `inline_max`. */
export async function createBlobStore(config: BlobConfig, executor: Executor): Promise<BlobStore> {
  if (config.blobs === 'redis') return new RedisBlobStore(executor);
  if (config.blobs === 'fs') return new FsBlobStore(config.dir).init();
  if (!config.s3) throw new Error('spool.blobs is s3, but there is no spool.s3 section');
  return S3BlobStore.create(config.s3);
}
