import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Identity, readCertificates, toIdentity } from '@waypost/smime';
import { run } from '@waypost/testkit';

/** Someone with a certificate. */
export interface Person {
  readonly email: string;
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
  readonly identity: Identity;
}

/** A certificate authority for mail, and a folder for what openssl reads and writes. */
export class MailAuthority {
  private constructor(readonly dir: string) {}

  static async create(): Promise<MailAuthority> {
    const authority = new MailAuthority(mkdtempSync(join(tmpdir(), 'smime-')));
    await authority.openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=Mail Root'],
      ...[
        '-addext',
        'keyUsage=critical,keyCertSign,cRLSign',
        '-keyout',
        authority.path('ca.key'),
        '-out',
        authority.anchor,
      ],
    );
    return authority;
  }

  get anchor(): string {
    return this.path('ca.pem');
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  write(name: string, content: Buffer | string): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /** @returns what it wrote to the standard output. @throws Error where it fails, with what it said. */
  async openssl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run('openssl', args);
    if (code !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
    return stdout;
  }

  /** @param type of the key. @param use extended key usage. */
  async person(
    email: string,
    type: 'rsa' | 'ec' = 'rsa',
    { use = 'emailProtection', days = '30' } = {},
  ): Promise<Person> {
    const [name] = email.split('@') as [string];
    const [cert, key, csr] = ['pem', 'key', 'csr'].map((end) => this.path(`${name}.${end}`)) as [
      string,
      string,
      string,
    ];
    const extensions = this.write(
      `${name}.ext`,
      `basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment,keyAgreement\nextendedKeyUsage=${use}\nsubjectAltName=email:${email}\nsubjectKeyIdentifier=hash\n`,
    );
    const algorithm = type === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    await this.openssl(
      'req',
      '-new',
      '-newkey',
      ...algorithm,
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      key,
      '-out',
      csr,
    );
    await this.openssl(
      ...['x509', '-req', '-in', csr, '-CA', this.anchor, '-CAkey', this.path('ca.key'), '-CAcreateserial'],
      ...['-days', days, '-extfile', extensions, '-out', cert],
    );
    const identity = toIdentity(readCertificates(readFileSync(cert)), readFileSync(key, 'utf8'));
    return { email, cert, key, identity };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
