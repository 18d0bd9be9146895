import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@waypost/testkit';

export interface Identity {
  /** PEM, the issuers after it. */
  readonly cert: string;
  readonly key: string;
}

async function openssl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('openssl', args);
  if (code !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
  return stdout;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate authority for tests, made with openssl. */
export class Authority {
  #serial = 1;

  private constructor(
    /** File with its certificate, for NODE_EXTRA_CA_CERTS. */
    readonly file: string,
  ) {}

  static async create(dir: string, name = 'ca'): Promise<Authority> {
    const file = join(dir, `${name}.crt`);
    const extensions = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign,cRLSign'];
    const files = ['-keyout', join(dir, `${name}.crt.key`), '-out', file];
    await openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', `/CN=${name}`, ...extensions, ...files);
    return new Authority(file);
  }

  get cert(): string {
    return readFileSync(this.file, 'utf8');
  }

  /** @returns an identity for these names, signed by this authority. */
  issue(...names: string[]): Promise<Identity> {
    return this.#sign(names, 2);
  }

  /** The same, whose time is over. */
  issueExpired(...names: string[]): Promise<Identity> {
    return this.#sign(names, -1);
  }

  async #sign(names: readonly string[], days: number): Promise<Identity> {
    const serial = this.#serial++;
    const base = `${this.file}.${serial}`;
    writeFileSync(`${base}.ext`, `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`);
    await openssl(
      'req',
      '-new',
      ...NEW_KEY,
      '-subj',
      `/CN=${names[0]}`,
      '-keyout',
      `${base}.key`,
      '-out',
      `${base}.csr`,
    );
    const signed = [
      '-CA',
      this.file,
      '-CAkey',
      `${this.file}.key`,
      '-set_serial',
      String(serial),
      '-days',
      String(days),
    ];
    await openssl('x509', '-req', '-in', `${base}.csr`, ...signed, '-extfile', `${base}.ext`, '-out', `${base}.crt`);
    return { cert: readFileSync(`${base}.crt`, 'utf8') + this.cert, key: readFileSync(`${base}.key`, 'utf8') };
  }
}
