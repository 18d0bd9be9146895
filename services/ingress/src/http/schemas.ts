import { z } from 'zod';

const list = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const header = z.string().regex(/^[\x21-\x39\x3b-\x7e]+$/, 'is no header field name');

export const attachment = z
  .strictObject({
    content: z
      .union([z.string(), z.strictObject({ type: z.literal('Buffer'), data: z.array(z.int().min(0).max(255)) })])
      .optional(),
    filename: z.string().max(255).optional(),
    content_type: z.string().max(255).optional(),
    content_id: z
      .string()
      .max(255)
      .optional()
      .meta({ description: 'Makes it an inline image, shown where the HTML has cid:<content_id>' }),
    path: z.string().optional().meta({ description: 'Refused: this relay fetches nothing. Send content instead.' }),
  })
  .meta({ id: 'Attachment' });

/** `POST /v1/emails`: Resend's fields and no others. */
export const email = z
  .strictObject({
    from: z
      .string()
      .min(3)
      .meta({ examples: ['App <app@example.com>'] }),
    to: list.meta({ examples: ['you@example.com'] }),
    cc: list.optional(),
    bcc: list.optional(),
    reply_to: list.optional(),
    subject: z.string().max(998),
    html: z.string().optional(),
    text: z.string().optional(),
    headers: z.record(header, z.string().max(16_384)).optional(),
    attachments: z.array(attachment).max(100).optional(),
    tags: z
      .array(z.strictObject({ name: z.string().regex(/^[\w-]{1,256}$/), value: z.string().regex(/^[\w-]{1,256}$/) }))
      .max(50)
      .optional(),
    scheduled_at: z
      .string()
      .optional()
      .meta({ description: 'ISO 8601, or "in 5 minutes"', examples: ['2030-01-01T08:00:00Z'] }),
  })
  .meta({ id: 'Email' });
export type EmailInput = z.output<typeof email>;

export const batch = z.array(email).min(1).max(100);

/** `POST /v1/emails/raw` as JSON. */
export const rawEmail = z
  .strictObject({
    from: z.string().meta({ description: 'Reverse-path; empty is the null reverse-path' }),
    to: list,
    raw: z.string().meta({ description: 'The whole MIME message in base64' }),
    scheduled_at: z.string().optional(),
  })
  .meta({ id: 'RawEmail' });

export const accepted = z.object({ id: z.uuid() }).meta({ id: 'Accepted' });
export const batchAccepted = z
  .object({ data: z.array(accepted), errors: z.array(z.object({ index: z.int(), message: z.string() })).optional() })
  .meta({ id: 'BatchAccepted' });

const taught = {
  class: z.enum(['ham', 'spam']).meta({ description: 'ham is mail that is wanted' }),
  tenant: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .meta({ description: 'Whose mail it is about, for keys without a tenant; everybody’s where absent' }),
};

/** `POST /v1/policy/learn` as message/rfc822. */
export const lessonQuery = z.strictObject(taught);

/** `POST /v1/policy/learn` as JSON. */
export const lesson = z
  .strictObject({ ...taught, raw: z.string().min(1).meta({ description: 'The whole MIME message in base64' }) })
  .meta({ id: 'Lesson' });

export const lessonView = z
  .object({
    object: z.literal('lesson'),
    class: z.enum(['ham', 'spam']),
    tenant: z.string().nullable(),
    learned: z.boolean().meta({ description: 'False where the same text was learned as the same before' }),
  })
  .meta({ id: 'LessonTaken' });

/** `POST /v1/suppressions`. */
export const newSuppression = z
  .strictObject({
    address: z
      .string()
      .min(2)
      .max(255)
      .meta({ examples: ['user@example.com', '@example.com'] }),
    reason: z.string().max(200).optional(),
    expires_at: z.iso.datetime({ offset: true }).optional(),
  })
  .meta({ id: 'NewSuppression' });
export const suppressionQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^\d{1,20}$/, 'must be the next_cursor of the page before')
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
  cause: z.string().max(40).optional(),
});
export const suppressionView = z
  .object({
    object: z.literal('suppression'),
    address: z.string(),
    cause: z.string(),
    reason: z.string().nullable(),
    email_id: z.string().nullable(),
    tenant: z.string().nullable(),
    created_at: z.string(),
    expires_at: z.string().nullable(),
  })
  .meta({ id: 'Suppression' });
export const suppressionList = z
  .object({ object: z.literal('list'), data: z.array(suppressionView), next_cursor: z.string().nullable() })
  .meta({ id: 'SuppressionList' });
export const imported = z
  .object({
    object: z.literal('import'),
    imported: z.int(),
    skipped: z.int(),
    problems: z.array(z.object({ line: z.int(), message: z.string() })),
  })
  .meta({ id: 'Imported' });

const replyShape = z.object({ code: z.int(), enhanced: z.string().optional(), text: z.string() });
export const emailView = z
  .object({
    object: z.literal('email'),
    id: z.uuid(),
    to: z.array(z.string()),
    from: z.string(),
    cc: z.array(z.string()).nullable(),
    bcc: z.array(z.string()).nullable(),
    reply_to: z.array(z.string()).nullable(),
    subject: z.string().nullable(),
    html: z.null(),
    text: z.null(),
    created_at: z.string(),
    scheduled_at: z.string().nullable(),
    last_event: z.string(),
    message_id: z.string().nullable(),
    recipients: z.array(
      z.object({
        address: z.string(),
        state: z.string(),
        attempts: z.int(),
        last_response: replyShape.nullable(),
        cause: z.string().nullable(),
        late_bounce: z
          .object({
            created_at: z.string(),
            cause: z.string(),
            hard: z.boolean(),
            response: replyShape,
            remote: z.string().nullable(),
            proven: z.boolean(),
          })
          .nullable(),
        complaint: z.object({ created_at: z.string(), type: z.string(), proven: z.boolean() }).nullable(),
        remote: z.string().nullable(),
        next_attempt_at: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'EmailView' });
export const eventsView = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        type: z.string(),
        created_at: z.string(),
        recipients: z.array(z.string()),
        response: replyShape.nullable(),
        cause: z.string().nullable(),
        remote: z.string().nullable(),
        attempt: z.int().nullable(),
        detail: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'Events' });
export const canceled = z.object({ object: z.literal('email'), id: z.uuid() }).meta({ id: 'Canceled' });
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    name: z.string(),
    message: z.string(),
    statusCode: z.int(),
  })
  .meta({ id: 'Problem' });
