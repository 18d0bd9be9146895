import { z } from 'zod';

export type RspamdAction =
  | 'no action'
  | 'greylist'
  | 'add header'
  | 'rewrite subject'
  | 'soft reject'
  | 'reject'
  | 'quarantine'
  | 'discard';

export interface RspamdVerdict {
  /** rspamd also knows actions of its operator's own; those are given as they are. */
  readonly action: RspamdAction | (string & {});
  readonly score: number;
  /** The score from which rspamd refuses. */
  readonly required: number;
  readonly symbols: readonly { readonly name: string; readonly score: number; readonly text: string }[];
  /** What the client is to be told. */
  readonly message?: string;
  /** Header fields that rspamd wants added, and names of those it wants removed. */
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly remove: readonly string[];
}

const symbol = z.object({
  score: z.number().default(0),
  metric_score: z.number().optional(),
  description: z.string().optional(),
  options: z.array(z.string()).optional(),
});
const added = z.union([z.string(), z.object({ value: z.string() })]);
const answer = z.object({
  action: z.string(),
  score: z.number(),
  required_score: z.number(),
  symbols: z.record(z.string(), symbol).default({}),
  messages: z.object({ smtp_message: z.string().optional() }).optional(),
  milter: z
    .object({
      add_headers: z.record(z.string(), z.union([added, z.array(added)])).optional(),
      remove_headers: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
});

const FIELD_NAME = /^[!-9;-~]{1,76}$/;

/** Reads the answer to /checkv2. @throws Error where it is none. */
export function readVerdict(json: string): RspamdVerdict {
  const parsed = answer.safeParse(JSON.parse(json));
  if (!parsed.success) throw new Error('the answer is no verdict');
  const { action, score, required_score, symbols, messages, milter } = parsed.data;
  return {
    action,
    score,
    required: required_score,
    symbols: Object.entries(symbols).map(([name, { score, description, options }]) => ({
      name,
      score,
      text: [description, options?.slice(0, 5).join(', ')].filter(Boolean).join(': ').slice(0, 200),
    })),
    ...(messages?.smtp_message ? { message: messages.smtp_message } : {}),
    add: Object.entries(milter?.add_headers ?? {}).flatMap(([name, given]) =>
      FIELD_NAME.test(name)
        ? [given].flat().map((one) => ({ name, value: typeof one === 'string' ? one : one.value }))
        : [],
    ),
    remove: Object.keys(milter?.remove_headers ?? {}),
  };
}
