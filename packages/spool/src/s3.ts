import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { type BlobStore, BodyMissingError } from './port.js';

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

/** Bodies as objects of any S3-compatible store. */
export class S3BlobStore implements BlobStore {
  readonly kind = 's3';

  private constructor(
    private readonly sdk: Sdk,
    private readonly client: S3Client,
    private readonly options: S3Options,
  ) {}

  /** Loads the SDK only where it is needed. */
  static async create(options: S3Options): Promise<S3BlobStore> {
    const sdk = await import('@aws-sdk/client-s3');
    const { access_key: accessKeyId, secret_key: secretAccessKey } = options;
    const client = new sdk.S3Client({
      region: options.region,
      forcePathStyle: options.force_path_style,
      ...(options.endpoint ? { endpoint: options.endpoint } : {}),
      ...(accessKeyId && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {}),
    });
    return new S3BlobStore(sdk, client, options);
  }

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    const { Upload } = await import('@aws-sdk/lib-storage');
    const { Readable } = await import('node:stream');
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
    const body = Readable.from(counted(), { objectMode: false });
    const params = { Bucket: this.options.bucket, Key: this.#key(id), Body: body };
    try {
      await new Upload({ client: this.client, params, leavePartsOnError: false }).done();
    } catch (error) {
      throw failure ?? error;
    }
    return size;
  }

  async get(id: string): Promise<Readable> {
    try {
      const { Body } = await this.client.send(
        new this.sdk.GetObjectCommand({ Bucket: this.options.bucket, Key: this.#key(id) }),
      );
      return Body as Readable;
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey' || (error as Error).name === 'NotFound') throw new BodyMissingError(id);
      throw error;
    }
  }

  async delete(id: string): Promise<void> {
    await this.client.send(new this.sdk.DeleteObjectCommand({ Bucket: this.options.bucket, Key: this.#key(id) }));
  }

  async *list(before: number): AsyncIterable<string> {
    const { bucket, prefix } = this.options;
    for await (const page of this.sdk.paginateListObjectsV2({ client: this.client }, { Bucket: bucket, Prefix: prefix })) {
      for (const object of page.Contents ?? []) {
        if (object.Key && (object.LastModified?.getTime() ?? 0) < before) yield object.Key.slice(prefix.length);
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
