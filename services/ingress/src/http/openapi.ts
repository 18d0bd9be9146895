import { z } from 'zod';
import { createDocument, type ZodOpenApiResponsesObject } from 'zod-openapi';
import {
  accepted,
  batch,
  batchAccepted,
  canceled,
  email,
  emailView,
  eventsView,
  imported,
  lesson,
  lessonQuery,
  lessonView,
  newSuppression,
  problem,
  rawEmail,
  suppressionList,
  suppressionQuery,
  suppressionView,
} from './schemas.js';

const json = (schema: z.ZodType, description: string) => ({ description, content: { 'application/json': { schema } } });
const errors: ZodOpenApiResponsesObject = Object.fromEntries(
  ['400', '401', '403', '404', '409', '413', '415', '422', '429', '503'].map((status) => [
    status,
    { description: 'See the detail', content: { 'application/problem+json': { schema: problem } } },
  ]),
);
const idempotent = z.object({ 'Idempotency-Key': z.string().max(256).optional() });
const byAddress = { path: z.object({ address: z.string() }) };
const byId = { path: z.object({ id: z.uuid() }) };

/** @returns the OpenAPI 3.1 document, from the schemas that validate. */
export function openApiDocument(version: string): object {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Waypost',
      version,
      description:
        'Submission of email over HTTP. A message answered 200 is durable. A superset of Resend’s API: its SDKs work by changing the base URL.',
    },
    servers: [{ url: '/v1' }],
    security: [{ key: [] }],
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    paths: {
      '/emails': {
        post: {
          summary: 'Send a message',
          requestParams: { header: idempotent },
          requestBody: { required: true, content: { 'application/json': { schema: email } } },
          responses: { '200': json(accepted, 'Durable and queued'), ...errors },
        },
      },
      '/emails/batch': {
        post: {
          summary: 'Send up to 100 messages, all or none',
          requestParams: {
            header: idempotent.extend({ 'x-batch-validation': z.enum(['strict', 'permissive']).optional() }),
          },
          requestBody: { required: true, content: { 'application/json': { schema: batch } } },
          responses: { '200': json(batchAccepted, 'Durable and queued'), ...errors },
        },
      },
      '/emails/raw': {
        post: {
          summary: 'Send a ready MIME message',
          requestParams: {
            header: idempotent,
            query: z.object({ from: z.string().optional(), to: z.array(z.string()).optional() }),
          },
          requestBody: {
            required: true,
            content: {
              'application/json': { schema: rawEmail },
              'message/rfc822': { schema: { type: 'string', format: 'binary' } },
            },
          },
          responses: { '200': json(accepted, 'Durable and queued'), ...errors },
        },
      },
      '/emails/{id}': {
        get: {
          summary: 'Where a message is',
          requestParams: byId,
          responses: { '200': json(emailView, 'The message'), ...errors },
        },
      },
      '/emails/{id}/events': {
        get: {
          summary: 'What happened to a message',
          requestParams: byId,
          responses: { '200': json(eventsView, 'The oldest first'), ...errors },
        },
      },
      '/emails/{id}/cancel': {
        post: {
          summary: 'Cancel a message that is not on its way',
          requestParams: byId,
          responses: { '200': json(canceled, 'Canceled'), ...errors },
        },
      },
      '/policy/learn': {
        post: {
          summary: 'Teach the spam classifier with a message; needs the admin scope',
          requestParams: { query: lessonQuery.partial() },
          requestBody: {
            required: true,
            content: {
              'application/json': { schema: lesson },
              'message/rfc822': { schema: { type: 'string', format: 'binary' } },
            },
          },
          responses: { '200': json(lessonView, 'Taken in, by all processes within seconds'), ...errors },
        },
      },
      '/suppressions': {
        get: {
          summary: 'Addresses that are never attempted',
          requestParams: { query: suppressionQuery },
          responses: { '200': json(suppressionList, 'A page, in no order'), ...errors },
        },
        post: {
          summary: 'Put an address or a domain on the list',
          requestBody: { required: true, content: { 'application/json': { schema: newSuppression } } },
          responses: { '201': json(suppressionView, 'On the list'), ...errors },
        },
      },
      '/suppressions/{address}': {
        get: {
          summary: 'Why an address is on the list',
          requestParams: byAddress,
          responses: { '200': json(suppressionView, 'The entry'), ...errors },
        },
        delete: {
          summary: 'Take an address off the list',
          requestParams: byAddress,
          responses: { '204': { description: 'Taken off' }, ...errors },
        },
      },
      '/suppressions/import': {
        post: {
          summary: 'Put the addresses of a CSV file on the list',
          requestBody: { required: true, content: { 'text/csv': { schema: { type: 'string' } } } },
          responses: { '200': json(imported, 'What was taken, and what was not'), ...errors },
        },
      },
      '/suppressions/export': {
        get: {
          summary: 'The list as CSV',
          responses: {
            '200': { description: 'CSV', content: { 'text/csv': { schema: { type: 'string' } } } },
            ...errors,
          },
        },
      },
    },
  });
}
