import { ConfigError, loadConfig } from '@waypost/config';
import { describeCertificate, loadMaterial } from '@waypost/smime';
import type { Command } from 'commander';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

interface Row {
  readonly use: string;
  readonly certificate: Buffer;
}

/** `waypost smime …`: the certificates of a configuration. */
export function addSmime(program: Command, env: Readonly<Record<string, string | undefined>>): void {
  program
    .command('smime')
    .description('S/MIME: what is signed, encrypted and trusted with')
    .command('certificates')
    .description('list the certificates that are known, with what each is used for and how long it is good')
    .argument('[address]', 'only those for this address')
    .requiredOption('-c, --config <file>', 'the configuration file')
    .action(async (address: string | undefined, options: { config: string }) => {
      const material = await loadMaterial(loadConfig({ file: options.config, env }).smime).catch((error: Error) => {
        throw new ConfigError([error.message]);
      });
      const recipients = new Set([...material.known.values()].flat().map(({ certificate }) => certificate));
      const rows: Row[] = [
        ...material.identities.flatMap(({ settings: { sign, decrypt, match }, identity: { certificates } }) => {
          const uses = [...(sign === 'never' ? [] : ['signs']), ...(decrypt ? ['decrypts'] : [])].join(' and ');
          return certificates
            .slice(0, 1)
            .map((certificate) => ({ use: `${uses || 'not used'} for ${match}`, certificate }));
        }),
        ...[...recipients].map((certificate) => ({ use: 'recipient', certificate })),
        ...material.anchors.map((certificate) => ({ use: 'anchor', certificate })),
      ];
      for (const { use, certificate } of rows) {
        const { emails, subject, issuer, from, until } = describeCertificate(certificate);
        if (address !== undefined && !emails.includes(address.toLowerCase())) continue;
        const now = new Date();
        const state = until <= now ? 'EXPIRED' : from > now ? 'not good yet' : 'good';
        const times = `${state}, ${from.toISOString().slice(0, 10)} to ${until.toISOString().slice(0, 10)}`;
        print([emails.join(',') || '-', use, times, subject, `issued by ${issuer}`].join('\t'));
      }
      if (rows.length === 0) print('No certificates are known.');
    });
}
