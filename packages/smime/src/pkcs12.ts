import { CertBag, PFX, PKCS8ShroudedKeyBag, PrivateKeyInfo } from 'pkijs';
import { type Identity, toIdentity } from './certificates.js';
import { CmsError, exactly } from './cms/asn1.js';

/**
 * Opens a PKCS#12 file (RFC 7292) whose contents are encrypted by PBES2, as OpenSSL 3 and current programs make them.
 * @throws Error for a wrong passphrase, and CmsError for one that holds no key and certificate.
 */
export async function readPkcs12(file: Buffer, passphrase: string): Promise<Identity> {
  const password = exactly(Buffer.from(passphrase));
  const pfx = PFX.fromBER(exactly(file));
  await pfx.parseInternalValues({ password, checkIntegrity: true });
  const safe = pfx.parsedValue?.authenticatedSafe;
  if (!safe) throw new CmsError('the file holds nothing');
  await safe.parseInternalValues({ safeContents: safe.safeContents.map(() => ({ password })) });
  const certificates: Buffer[] = [];
  let key: PrivateKeyInfo | undefined;
  for (const { value: contents } of safe.parsedValue?.safeContents ?? []) {
    for (const { bagValue } of contents.safeBags) {
      if (bagValue instanceof CertBag && bagValue.parsedValue) {
        certificates.push(Buffer.from(bagValue.parsedValue.toSchema().toBER()));
      } else if (bagValue instanceof PKCS8ShroudedKeyBag) {
        await (
          bagValue as unknown as { parseInternalValues(p: { password: ArrayBuffer }): Promise<void> }
        ).parseInternalValues({ password });
        key = bagValue.parsedValue;
      } else if (bagValue instanceof PrivateKeyInfo) key = bagValue;
    }
  }
  if (!key || certificates.length === 0) throw new CmsError('the file holds no key, or no certificate');
  const pem = Buffer.from(key.toSchema().toBER())
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n');
  return toIdentity(certificates, `-----BEGIN PRIVATE KEY-----\n${pem}-----END PRIVATE KEY-----\n`);
}
