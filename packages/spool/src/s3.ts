import { Readable } from 'node:stream';
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { type BlobStore, BodyMissingError, SpoolFullError } from './port.js';
import { Semaphore } from './semaphore.js';

export interface S3Options {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly access_key?: string | undefined;
  readonly secret_key?: string | undefined;
  readonly force_path_style: boolean;
}

type Sdk = typeof import('@aws-sdk/client-s3');
type Storage = typeof import('@aws-sdk/lib-storage');

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[0-9a-f]{16})?$/;
/** The smallest part S3 allows; one is in memory for each upload. */
const PART = 5_242_880;
/** Uploads at a time; the sources of the others wait. */
const UPLOADS = 16;
const CONNECT_TIMEOUT = 5_000;
const IDLE_TIMEOUT = 60_000;
const FULL = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'StorageFull', 'EntityTooLarge']);

/** Bodies as objects of any S3-compatible store. */
export class S3BlobStore implements BlobStore {
  readonly kind = 's3';
  readonly #uploads = new Semaphore(UPLOADS);

  private constructor(
    private readonly sdk: Sdk,
    private readonly storage: Storage,
    private readonly client: S3Client,
    private readonly options: S3Options,
  ) {}

  /** Loads the SDK, which is large, only where it is needed. */
  static async create(options: S3Options): Promise<S3BlobStore> {
    const [sdk, storage] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')]);
    return new S3BlobStore(sdk, storage, new sdk.S3Client(clientConfig(options)), options);
  }

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    return this.#uploads.run(() => this.#upload(id, source));
  }

  async #upload(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    let size = 0;
    let failure: unknown;
    async function* counted() {
      try {
        for await (const chunk of source) {
          size += chunk.length;
          yield chunk;
        }
      } catch (error) {
        failure = error;
        throw error;
      }
    }
    const params = {
      Bucket: this.options.bucket,
      Key: this.#key(id),
      Body: Readable.from(counted(), { objectMode: false }),
    };
    const { Upload } = this.storage;
    try {
      // What was sent of a failed upload is dropped with it.
      await new Upload({ client: this.client, params, queueSize: 1, partSize: PART, leavePartsOnError: false }).done();
    } catch (error) {
      throw failure ?? (isFull(error) ? new SpoolFullError(error) : error);
    }
    return size;
  }

  async get(id: string): Promise<Readable> {
    const command = new this.sdk.GetObjectCommand({ Bucket: this.options.bucket, Key: this.#key(id) });
    try {
      return (await this.client.send(command)).Body as Readable;
    } catch (error) {
      throw ['NoSuchKey', 'NotFound'].includes((error as Error).name) ? new BodyMissingError(id) : error;
    }
  }

  async delete(id: string): Promise<void> {
    await this.client.send(new this.sdk.DeleteObjectCommand({ Bucket: this.options.bucket, Key: this.#key(id) }));
  }

  async *list(before: number): AsyncIterable<string> {
    const { bucket, prefix } = this.options;
    for await (const page of this.sdk.paginateListObjectsV2(
      { client: this.client },
      { Bucket: bucket, Prefix: prefix },
    )) {
      for (const { Key: key, LastModified: at } of page.Contents ?? []) {
        const id = key?.slice(prefix.length) ?? '';
        // The bucket may hold other things, even under our prefix.
        if (ID.test(id) && at && at.getTime() < before) yield id;
      }
    }
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  #key(id: string): string {
    return `${this.options.prefix}${id}`;
  }
}

function clientConfig({ endpoint, region, access_key, secret_key, force_path_style }: S3Options): S3ClientConfig {
  return {
    region,
    forcePathStyle: force_path_style,
    // The newer checksum trailers are Amazon's own; other stores refuse them or keep them as part of the body.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT, socketTimeout: IDLE_TIMEOUT },
    ...(endpoint ? { endpoint } : {}),
    ...(access_key && secret_key ? { credentials: { accessKeyId: access_key, secretAccessKey: secret_key } } : {}),
  };
}

function isFull(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  return FULL.has(name ?? '') || $metadata?.httpStatusCode === 507;
}
