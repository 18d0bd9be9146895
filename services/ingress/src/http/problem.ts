/** One thing wrong with a request. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

/** An answer that is an error: RFC 9457, with the `name`, `message` and `statusCode` that Resend's SDKs read. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** Machine-readable, as Resend names it where it has a name. */
    readonly code: string,
    message: string,
    readonly extra: {
      readonly errors?: readonly FieldError[];
      readonly headers?: Readonly<Record<string, string>>;
      /** For the log and for us; the client is not told. */
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: extra.cause });
    this.name = 'Problem';
  }

  /** The body, `application/problem+json`. */
  toJSON(): Record<string, unknown> {
    return {
      type: 'about:blank',
      title: TITLES[this.status] ?? 'Error',
      status: this.status,
      detail: this.message,
      ...(this.extra.errors ? { errors: this.extra.errors } : {}),
      name: this.code,
      message: this.message,
      statusCode: this.status,
    };
  }
}

const TITLES: Record<number, string> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Cannot be processed',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Not available now',
};

export const invalid = (message: string, errors?: readonly FieldError[]) =>
  new Problem(422, 'validation_error', message, errors ? { errors } : {});
export const busy = (message: string, cause?: unknown) =>
  new Problem(503, 'service_unavailable', message, { headers: { 'Retry-After': '5' }, cause });
