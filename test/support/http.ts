import { TEST_KEY } from '@waypost/testkit';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at what it expects.
  readonly body: any;
}

export interface CallOptions {
  readonly method?: string;
  readonly key?: string | undefined;
  readonly headers?: Record<string, string>;
  /** Sent as JSON, unless it is text or a buffer. */
  readonly body?: unknown;
}

/** Calls the API at `base`; the answer's body is parsed where it is JSON. */
export async function call(base: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { body, key = TEST_KEY } = options;
  const raw = typeof body === 'string' || Buffer.isBuffer(body);
  const response = await fetch(`${base}${path}`, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(key ? { authorization: `Bearer ${key}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: json && text ? JSON.parse(text) : text };
}

/** An email with everything it needs. */
export const email = (subject: string, more: Record<string, unknown> = {}) => ({
  from: 'App <app@example.com>',
  to: 'you@example.org',
  subject,
  text: 'hello',
  ...more,
});
