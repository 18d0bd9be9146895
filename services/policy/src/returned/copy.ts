import { createHash } from 'node:crypto';
import type { MessageMeta } from '@waypost/mail';
import type { Spool } from '@waypost/spool';
import type { Arrival } from '@waypost/store';

/**
 * Makes a report ready to go on as it is, from the null reverse-path, so that nothing comes back for it. Its id is the same
 * again when it is made again, so that it is committed once.
 */
export async function copyOf(meta: MessageMeta, to: string, spool: Spool): Promise<Arrival> {
  const id = idOfCopy(meta.id);
  const body = await spool.read(meta.id, meta.body);
  const draft = Buffer.isBuffer(body) ? await spool.store(id, body) : await spool.receive(id, body);
  const { messageId, subject, headerFrom, traceparent, envelope } = meta;
  return {
    draft,
    meta: {
      id,
      envelope: {
        sender: '',
        recipients: [{ address: to, notify: ['NEVER'] }],
        body: '8BITMIME',
        ...(envelope.smtputf8 ? { smtputf8: true } : {}),
      },
      origin: { kind: 'internal', listener: 'report', protocol: 'ESMTP' },
      body: draft.ref,
      receivedAt: Date.now(),
      hops: meta.hops + 1,
      ...(messageId ? { messageId } : {}),
      ...(subject ? { subject } : {}),
      ...(headerFrom ? { headerFrom } : {}),
      ...(traceparent ? { traceparent } : {}),
    },
  };
}

/** A UUIDv7 of the same time (RFC 9562 §5.7), its random bits derived. */
function idOfCopy(id: string): string {
  const hash = createHash('sha256').update(`copy of ${id}`).digest('hex');
  return `${id.slice(0, 14)}7${hash.slice(0, 3)}-${id.slice(19, 20)}${hash.slice(3, 6)}-${hash.slice(6, 18)}`;
}
