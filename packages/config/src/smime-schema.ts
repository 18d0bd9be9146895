import { z } from 'zod';

const identity = z.strictObject({
  /** The sender or recipient: `alice@example.com`, `example.com`, `*.example.com`. */
  match: z.string(),
  /** PEM; those up to an anchor may follow. `certificate_file` and `key_file` name files with them. */
  certificate: z.string().optional(),
  key: z.string().optional(),
  /** A file with both, instead. */
  pkcs12: z.string().optional(),
  passphrase: z.string().default(''),
  /** clear: everyone can read what is signed · opaque: it survives gateways that change text. */
  sign: z.enum(['clear', 'opaque', 'never']).default('clear'),
  /** Mail for `match` is decrypted with the key. */
  decrypt: z.boolean().default(true),
});

const encryption = z.strictObject({
  /** The recipient: `bob@example.org`, `example.org`, `*`. */
  match: z.string(),
  /** What becomes of those whose certificate is not known. */
  missing: z.enum(['plain', 'reject']).default('plain'),
});

const smime = z.strictObject({
  identities: z.array(identity).default([]),
  /** Recipients that are written to encrypted; the first that matches counts. */
  encrypt: z.array(encryption).default([]),
  /** Files with certificates of recipients, PEM or DER, and folders with such files. */
  certificates: z.array(z.string()).default([]),
  /** Trust anchors, PEM; `anchors_file` names a file with them. */
  anchors: z.string().default(''),
  /** aes-256-gcm tells tampering; older programs read aes-256-cbc only. */
  cipher: z.enum(['aes-256-cbc', 'aes-256-gcm']).default('aes-256-cbc'),
  /** How keys are wrapped for RSA certificates. */
  rsa: z.enum(['oaep', 'pkcs1']).default('oaep'),
  /** Notes what came of signatures of mail from outside. */
  verify: z.boolean().default(true),
  /** What becomes of a message that ought to be signed and cannot be. What ought to be encrypted waits. */
  on_error: z.enum(['defer', 'unsigned']).default('defer'),
});

export type SmimeSettings = z.output<typeof smime>;
export type SmimeIdentity = SmimeSettings['identities'][number];

export const smimeSections = { smime: smime.prefault({}) };
