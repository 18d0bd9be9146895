import { firstValue, headerFields } from '@waypost/mail';
import { parseAddresses, parseMail } from '@waypost/mime';
import { matchesAddress, type Secured, SmimeBusyError, securedOf, type Verified, withEntity } from '@waypost/smime';
import { type CheckContext, PASS, type Verdict } from '../check.js';
import type { InForce } from '../smime-material.js';
import type { SmimeDeps } from './smime-deps.js';

const NOTE = 'X-Waypost-SMIME';

/** Decrypts mail from outside for those whose keys are here, and notes what came of its signature. */
export async function readSecured(context: CheckContext, inForce: InForce, deps: SmimeDeps): Promise<Verdict> {
  const { settings, material } = inForce;
  // Only what is found here may say so.
  if (settings.verify) context.removeHeader((name) => name === NOTE.toLowerCase());
  const found = securedOf(await context.mail());
  if (!found) return PASS;
  const message = await context.message();
  if (message.length >= deps.config().policy.scan_max) return PASS;
  if (found.kind !== 'encrypted') {
    if (settings.verify) await note(message, found, undefined, { context, inForce, deps });
    return PASS;
  }
  let left = context.open;
  for (const { settings: of, identity } of material.identities.filter(({ settings: { decrypt } }) => decrypt)) {
    const ours = left.filter(({ recipient }) => matchesAddress(of.match, recipient.address)).map(({ i }) => i);
    if (ours.length === 0) continue;
    const content = await decrypted(found.cms, identity, { context, inForce, deps });
    if (!content) continue;
    left = left.filter(({ i }) => !ours.includes(i));
    const opened = withEntity(message, content);
    context.rewrite(opened, ours);
    const inside = securedOf(parseMail(opened));
    context.addHeader(`${NOTE}: decrypted`, ours);
    if (inside && inside.kind !== 'encrypted' && settings.verify) {
      await note(opened, inside, ours, { context, inForce, deps });
    }
  }
  return PASS;
}

interface Around {
  readonly context: CheckContext;
  readonly inForce: InForce;
  readonly deps: SmimeDeps;
}

/** @returns undefined where the key does not fit: the message then goes on as it came. */
async function decrypted(
  cms: Buffer,
  identity: InForce['material']['identities'][number]['identity'],
  { context, deps }: Around,
): Promise<Buffer | undefined> {
  try {
    return (await deps.pool.run({ kind: 'decrypt', cms, identities: [identity] })).content;
  } catch (error) {
    if (error instanceof SmimeBusyError) throw error;
    deps.runtime.log.warn({ id: context.meta.id, error: (error as Error).message }, 'a message was not decrypted');
    return undefined;
  }
}

async function note(
  message: Buffer,
  found: Exclude<Secured, { kind: 'encrypted' }>,
  rcpts: readonly number[] | undefined,
  { context, inForce, deps }: Around,
): Promise<void> {
  const [author] = parseAddresses(firstValue(message, headerFields(message), 'from') ?? '');
  const content = found.kind === 'clear-signed' ? found.content : undefined;
  const options = { anchors: inForce.material.anchors, from: author?.address ?? '' };
  const verified = await deps.pool.run({ kind: 'verify', cms: found.cms, content, options }).catch(unverified);
  const { result, reason, emails } = verified;
  context.symbol(`SMIME_${result.toUpperCase()}`, 0, reason || `signed by ${emails.join(', ')}`);
  const { auth, server } = deps.config();
  context.addHeader(resultsField(auth.authserv_id ?? server.hostname, verified), rcpts);
  const text = result === 'pass' ? `signed by ${plain(emails.join(', '))}` : `signature not good: ${plain(reason)}`;
  context.addHeader(`${NOTE}: ${text}`, rcpts);
}

/** What no thread can get through will be no other the next time: the message goes on with that noted. */
function unverified(error: Error): Verified {
  if (error instanceof SmimeBusyError) throw error;
  return { result: 'permerror', reason: 'it could not be verified', emails: [] };
}

/** RFC 7281 §3. What a certificate says comes from outside: it must not break out of the field. */
function resultsField(authserv: string, { result, reason, emails, issuer, serial }: Verified): string {
  const [email] = emails;
  return [
    `Authentication-Results: ${authserv};\r\n\tsmime=${result}${reason ? ` (${plain(reason).replace(/[()]/g, '')})` : ''}`,
    ...(email ? [`body.smime-identifier=${quoted(email)}`] : []),
    ...(serial ? [`body.smime-serial=${serial}`] : []),
    ...(issuer ? [`body.smime-issuer=${quoted(issuer)}`] : []),
  ].join('\r\n\t');
}

const plain = (text: string) => text.replace(/[^\x20-\x7e]|\\/g, '?').slice(0, 200);
const quoted = (text: string) => `"${plain(text).replaceAll('"', '?')}"`;
