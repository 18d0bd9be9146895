import { join } from 'node:path';
import { type Config, type DkimDomain, type KeyAlgorithm, loadConfig, readPrivateKey } from '@waypost/config';
import { matchDomain } from '@waypost/mail';
import { generateKey, recordName, recordProblems, recordText, zoneLine } from '@waypost/signing';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { createResolver } from './compose.js';

type Environment = Readonly<Record<string, string | undefined>>;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function domainName(text: string): string {
  const name = text.toLowerCase();
  if (/^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?$/.test(name) && !name.includes('..')) return name;
  throw new InvalidArgumentError('write a domain in ASCII, such as example.com');
}

function keyBits(text: string): number {
  const bits = Number(text);
  if (Number.isInteger(bits) && bits >= 2048 && bits <= 4096) return bits;
  throw new InvalidArgumentError('write 2048 to 4096: shorter keys are weak, and many verifiers take no longer ones');
}

/**
 * `waypost dkim …`: keys that sign mail, and their records.
 * @param done told whether something is wrong, for the exit code.
 */
export function addDkim(program: Command, env: Environment, done: (failed: boolean) => void): void {
  const dkim = program.command('dkim').description('keys that sign mail, and what DNS says of them');
  dkim
    .command('generate')
    .description('make a key, and print the DNS record for it')
    .argument('<domain>', 'whose mail it signs', domainName)
    .option('--selector <name>', 'the first part of the record name; by default of the month and type')
    .addOption(new Option('--type <type>').choices(['rsa', 'ed25519']).default('rsa'))
    .option('--bits <bits>', 'of an RSA key', keyBits, 2048)
    .option('--dir <dir>', 'where the key is written', '.')
    .action(async (domain: string, options) => {
      const { type, bits, dir } = options as { type: KeyAlgorithm; bits: number; dir: string };
      const selector = domainName(options.selector ?? `${type}-${new Date().toISOString().slice(0, 7)}`);
      const file = join(dir, `${domain}.${selector}.pem`);
      const key = await generateKey(file, type, bits).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
        throw plain(`${file} is there already; a key in use is not overwritten, choose another --selector`);
      });
      print(`${file} has the private key. DNS record:\n`);
      print(`${zoneLine(recordName(selector, domain), recordText(key))}\n`);
      print(`Configuration:\n\n${snippet(domain, selector, file)}`);
    });
  dkim
    .command('check')
    .description('compare the configured keys with what DNS has')
    .argument('[domain]', 'only this one', domainName)
    .requiredOption('-c, --config <file>', 'the configuration file')
    .action(async (domain: string | undefined, options: { config: string }) => {
      const problems = await checkKeys(loadConfig({ file: options.config, env }), domain);
      done(problems > 0);
    });
}

/** An error whose text is enough for its reader. */
const plain = (message: string) => Object.assign(new Error(message), { name: 'ApiError' });

const snippet = (domain: string, selector: string, file: string) =>
  `dkim:\n  domains:\n    - match: ${domain}\n      keys:\n        - { selector: ${selector}, key_file: ${file} }`;

/** @returns how many keys have something wrong. */
async function checkKeys(config: Config, only: string | undefined): Promise<number> {
  const resolver = createResolver(config);
  const entries = config.dkim.domains.flatMap((entry) =>
    entry.keys.map((key) => ({ ...key, domain: domainOf(entry, only) })),
  );
  const asked = entries.filter(({ domain }) => only === undefined || domain === only);
  if (asked.length === 0) print(only ? `No key is configured for ${only}.` : 'No keys are configured.');
  let failed = 0;
  for (const { domain, selector, key } of asked) {
    if (domain === undefined) {
      print(`${selector}: signs for each sender's own domain; name one to check it`);
      continue;
    }
    const name = recordName(selector, domain);
    const problems = await resolver
      .resolveTxt(name)
      .then((texts) => recordProblems(texts, readPrivateKey(key)))
      .catch((error: Error) => [error.message]);
    print(`${name}: ${problems.length === 0 ? 'good' : problems.join('; ')}`);
    if (problems.length > 0) failed += 1;
  }
  return failed;
}

/** @returns the domain of an entry's records: the one asked for where the entry signs for each of many. */
function domainOf({ domain, match }: DkimDomain, asked: string | undefined): string | undefined {
  if (domain !== undefined || !match.includes('*')) return domain ?? match.toLowerCase();
  return asked !== undefined && matchDomain(match, asked) ? asked : undefined;
}
