import type { SmimeSettings } from '@waypost/config';
import { firstValue, headerFields, type Reply } from '@waypost/mail';
import { parseAddresses } from '@waypost/mime';
import {
  certificateFor,
  clearSigned,
  type Entity,
  type KnownCertificate,
  matchesAddress,
  sealed,
  securedOf,
  toEntity,
} from '@waypost/smime';
import { type CheckContext, type OpenRecipient, PASS, type Verdict } from '../check.js';
import type { InForce } from '../smime-material.js';
import type { SmimeDeps } from './smime-deps.js';

type Signer = InForce['material']['identities'][number];

/** A recipient who is to be written to encrypted. */
interface Addressee extends OpenRecipient {
  readonly known: KnownCertificate | undefined;
  readonly missing: SmimeSettings['encrypt'][number]['missing'];
}

/** Signs and encrypts mail of our own. */
export async function secure(context: CheckContext, inForce: InForce, deps: SmimeDeps): Promise<Verdict> {
  const { settings, material } = inForce;
  const addressees = addresseesOf(context, inForce);
  if (addressees.length === 0 && material.identities.every(({ settings: { sign } }) => sign === 'never')) return PASS;
  const message = await context.message();
  const mail = await context.mail();
  const secured = securedOf(mail);
  // What its author encrypted nobody here can read, and what he signed bears his own signature.
  const locked = secured?.kind === 'encrypted' || mail.type === 'multipart/encrypted';
  const signed = secured !== undefined || locked || mail.type === 'multipart/signed';
  const signer = signed ? undefined : signerOf(message, inForce);
  const encrypted = locked ? [] : addressees.filter(({ known }) => known);
  const refused = locked ? [] : addressees.filter(({ known, missing }) => !known && missing === 'reject');
  if (signer || encrypted.length > 0) {
    if (message.length >= deps.config().policy.scan_max) return tooLarge(message.length);
    const failed = await attempt(message, signer, encrypted, { context, settings, deps });
    if (failed) return failed;
  }
  if (refused.length === 0) return PASS;
  return { kind: 'reject', reply: noCertificate(refused), rcpts: refused.map(({ i }) => i) };
}

function addresseesOf({ open }: CheckContext, { settings, material }: InForce): Addressee[] {
  return open.flatMap((one) => {
    const { address } = one.recipient;
    const rule = settings.encrypt.find(({ match }) => matchesAddress(match, address));
    return rule ? [{ ...one, known: certificateFor(material, address), missing: rule.missing }] : [];
  });
}

/** The one whom a signature has to name: the author in From (RFC 8550 §3). */
function signerOf(message: Buffer, { material }: InForce): Signer | undefined {
  const [author] = parseAddresses(firstValue(message, headerFields(message), 'from') ?? '');
  const from = author?.address ?? '';
  return material.identities.find(({ settings: { sign, match } }) => sign !== 'never' && matchesAddress(match, from));
}

interface Around {
  readonly context: CheckContext;
  readonly settings: SmimeSettings;
  readonly deps: SmimeDeps;
}

/** @returns what to do instead where it cannot be done. */
async function attempt(
  message: Buffer,
  signer: Signer | undefined,
  encrypted: readonly Addressee[],
  { context, settings, deps }: Around,
): Promise<Verdict | undefined> {
  let plain = message;
  try {
    if (signer) {
      plain = await sign(toEntity(message), signer, deps);
      context.rewrite(plain);
    }
  } catch (error) {
    const defers = settings.on_error === 'defer';
    report(error as Error, context, deps, 'a message could not be signed by S/MIME');
    if (defers) return { kind: 'defer', reason: 'The message cannot be signed for now' };
  }
  try {
    const entity = toEntity(plain);
    // One form for each: nobody learns from another's whom else the message went to (Bcc).
    for (const { i, known } of encrypted) {
      if (known) context.rewrite(await encrypt(entity, known, settings, deps), [i]);
    }
  } catch (error) {
    report(error as Error, context, deps, 'a message could not be encrypted');
    return { kind: 'defer', reason: 'The message cannot be encrypted for now' };
  }
  return undefined;
}

async function sign(entity: Entity, { settings, identity }: Signer, { pool }: SmimeDeps): Promise<Buffer> {
  const detached = settings.sign === 'clear';
  const cms = await pool.run({ kind: 'sign', content: entity.inner, identity, detached });
  return detached ? clearSigned(entity, cms) : sealed(entity, cms, 'signed-data');
}

async function encrypt(
  entity: Entity,
  { certificate }: KnownCertificate,
  { cipher, rsa }: SmimeSettings,
  { pool }: SmimeDeps,
): Promise<Buffer> {
  const options = { cipher, rsa };
  const cms = await pool.run({ kind: 'encrypt', content: entity.inner, certificates: [certificate], options });
  return sealed(entity, cms, cipher === 'aes-256-gcm' ? 'authEnveloped-data' : 'enveloped-data');
}

function report(error: Error, { meta }: CheckContext, { runtime }: SmimeDeps, text: string): void {
  runtime.metrics.signingFailures.inc({ kind: 'smime' });
  runtime.log.error({ id: meta.id, error: error.message }, text);
}

function noCertificate([first]: readonly Addressee[]): Reply {
  const text = `Mail for ${first?.recipient.address} must be encrypted, and no valid certificate is known`;
  return { code: 550, enhanced: '5.7.5', text };
}

function tooLarge(size: number): Verdict {
  const text = `A message of ${size} octets or more is too large to be signed or encrypted here`;
  return { kind: 'reject', reply: { code: 552, enhanced: '5.3.4', text } };
}
