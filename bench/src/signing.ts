import { generateKeyPairSync } from 'node:crypto';

export type SignType = 'rsa' | 'ed25519';

export const FEW_CHECKS = ['size', 'loop', 'recipients', 'suppression', 'trace'];

/** @returns the sections of the configuration that signs all mail, with a new key of this type (RSA of 2048 bits). */
export function signing(type: SignType): Record<string, unknown> {
  const { privateKey } =
    type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519');
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const checks = [...FEW_CHECKS.slice(0, -1), 'dkim', ...FEW_CHECKS.slice(-1)];
  return {
    policy: { checks },
    dkim: { domains: [{ match: '*', domain: 'bench.example', keys: [{ selector: 'bench', key }] }] },
  };
}
