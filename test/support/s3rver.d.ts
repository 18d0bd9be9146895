/** What the tests use of s3rver, which brings no types. */
declare module 's3rver' {
  /** A request as Koa gives it. */
  interface Context {
    readonly method: string;
    readonly query: Readonly<Record<string, string | undefined>>;
    status: number;
  }
  export default class S3rver {
    readonly middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
    constructor(options: {
      readonly address: string;
      readonly port: number;
      readonly silent: boolean;
      readonly directory: string;
      readonly configureBuckets: readonly { readonly name: string; readonly configs: readonly string[] }[];
    });
    run(): Promise<{ readonly address: string; readonly port: number }>;
    close(): Promise<void>;
  }
}
