import { randomUUID } from 'node:crypto';
import type { Config } from '@waypost/config';
import type { PolicyPort } from '@waypost/inline';
import { fieldValue, firstValue, headerFields, type MessageMeta, normaliseAddress } from '@waypost/mail';
import type { RequestHandler } from 'express';
import express, { type Express } from 'express';
import { z } from 'zod';
import type { Credential } from '../ports.js';
import { parse } from './parse.js';
import { Problem } from './problem.js';

const address = z.string().refine((text) => normaliseAddress(text) !== undefined, 'is no address');
const query = z.strictObject({
  /** Envelope sender; empty for the null reverse-path. The From field's where absent. */
  from: z.union([z.literal(''), address]).optional(),
  /** Envelope recipients. Those of the To field where absent. */
  to: z.union([address, z.array(address).max(100)]).optional(),
  ip: z.union([z.ipv4(), z.ipv6()]).optional(),
  helo: z.string().max(255).optional(),
  tenant: z.string().max(255).optional(),
  credential: z.string().max(255).optional(),
  /** Name of the listener it is to have come in by. */
  listener: z.string().max(255).optional(),
});

export interface PolicyCheckDeps {
  readonly policy: PolicyPort | undefined;
  readonly config: () => Config;
}

/** `POST /v1/policy/check`: what policy would do with a message, step by step; nothing changes by it. */
export function addPolicyCheck(app: Express, guard: RequestHandler, { policy, config }: PolicyCheckDeps): void {
  const raw = express.raw({ type: 'message/rfc822', limit: config().limits.message_size });
  app.post('/v1/policy/check', guard, raw, async (request, response) => {
    if (!policy) throw new Problem(503, 'policy_unreachable', 'No policy service is known here; set policy.inline.url');
    if (!Buffer.isBuffer(request.body)) {
      throw new Problem(415, 'unsupported_media_type', 'Send the message itself, as message/rfc822');
    }
    const given = parse(query, request.query);
    const own = (response.locals.credential as Credential).tenant;
    if (own !== undefined && given.tenant !== undefined && given.tenant !== own) {
      throw new Problem(403, 'restricted_api_key', "This API key tries its own tenant's mail");
    }
    response.json(
      await policy.explain({
        meta: metaOf({ ...given, tenant: own ?? given.tenant }, request.body, config()),
        body: request.body,
      }),
    );
  });
}

function metaOf(given: z.output<typeof query>, body: Buffer, { listeners }: Config): MessageMeta {
  const fields = headerFields(body);
  const listener = listeners.find(({ name }) => name === given.listener);
  if (given.listener !== undefined && !listener) {
    throw new Problem(422, 'validation_error', `There is no listener "${given.listener}"`);
  }
  const kind = listener?.kind ?? (given.ip === undefined ? 'http' : 'mx');
  const to = given.to === undefined ? addressesIn(body, fields, 'to') : [given.to].flat();
  const tenant = given.tenant ?? listener?.tenant;
  const subject = firstValue(body, fields, 'subject');
  return {
    id: randomUUID(),
    envelope: {
      sender: given.from ?? addressesIn(body, fields, 'from')[0] ?? '',
      recipients: to.map((one) => ({ address: normaliseAddress(one) ?? one })),
    },
    origin: {
      kind,
      listener: listener?.name ?? kind,
      protocol: 'ESMTP',
      ...(given.ip === undefined ? {} : { remoteAddress: given.ip }),
      ...(given.helo === undefined ? {} : { helo: given.helo }),
      ...(given.credential === undefined ? {} : { credential: given.credential }),
      ...(tenant === undefined ? {} : { tenant }),
    },
    body: { at: 'inline', size: body.length },
    receivedAt: Date.now(),
    hops: fields.filter(({ name }) => name === 'received').length,
    ...(subject ? { subject } : {}),
  };
}

/** Plain addresses of a field, enough to try a message by. */
function addressesIn(body: Buffer, fields: ReturnType<typeof headerFields>, name: string): string[] {
  const field = fields.find((one) => one.name === name);
  const value = field ? fieldValue(body, field).slice(0, 4096) : '';
  return (value.match(/[^\s<>,;:"]+@[^\s<>,;:"]+/g) ?? []).flatMap((one) => normaliseAddress(one) ?? []).slice(0, 100);
}
