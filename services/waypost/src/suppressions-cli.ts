import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { RedisHandle } from '@waypost/redis';
import { exportSuppressions, importSuppressions, SuppressionStore, suppressionAddress } from '@waypost/store';
import { type Command, InvalidArgumentError } from 'commander';

type WithRedis = <T>(options: { config?: string }, work: (redis: RedisHandle) => Promise<T>) => Promise<T>;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
/** By hand the list takes what it is given; its bound is for what comes by itself. */
const BY_HAND = { maxEntries: Number.MAX_SAFE_INTEGER, replace: true };

function address(text: string): string {
  const found = suppressionAddress(text);
  if (!found) throw new InvalidArgumentError('write user@example.com, or @example.com for all of a domain');
  return found;
}

/** `waypost suppressions …`: the addresses that are never attempted. */
export function addSuppressions(program: Command, withRedis: WithRedis): void {
  const group = program.command('suppressions').description('addresses that are never attempted');
  const command = (name: string, description: string) =>
    group
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'the configuration file')
      .option('--tenant <tenant>', "only this tenant's entries");
  const store = (redis: RedisHandle) => new SuppressionStore(redis.group);
  command('list', 'print the list as CSV').action(async (options) => {
    await withRedis(options, (redis) =>
      pipeline(exportSuppressions(store(redis), options.tenant), process.stdout, { end: false }),
    );
  });
  command('show', 'say why an address is on the list')
    .argument('<address>', '', address)
    .action(async (name: string, options) => {
      const found = await withRedis(options, (redis) => store(redis).get(name, options.tenant));
      print(found ? JSON.stringify(found, null, 2) : `${name} is not on the list.`);
    });
  command('add', 'put an address or @domain on the list')
    .argument('<address>', '', address)
    .option('--reason <text>')
    .action(async (name: string, { reason, tenant, ...options }) => {
      const entry = {
        address: name,
        cause: 'manual',
        at: Date.now(),
        ...(reason ? { reason } : {}),
        ...(tenant ? { tenant } : {}),
      };
      await withRedis(options, (redis) => store(redis).put(entry, BY_HAND));
      print(`${name} is on the list.`);
    });
  command('remove', 'take an address off the list')
    .argument('<address>', '', address)
    .action(async (name: string, options) => {
      const gone = await withRedis(options, (redis) => store(redis).remove(name, options.tenant));
      print(gone ? `${name} is off the list.` : `${name} was not on the list.`);
    });
  command('import', 'put the addresses of a CSV file on the list; its header line names at least "address"')
    .argument('<file>')
    .action(async (file: string, options) => {
      const settings = { ...BY_HAND, tenant: options.tenant };
      const result = await withRedis(options, (redis) =>
        importSuppressions(createReadStream(file), store(redis), settings),
      );
      for (const { line, message } of result.problems) print(`${file}, line ${line}: ${message}`);
      print(`${result.imported} imported, ${result.skipped} left out.`);
    });
}
