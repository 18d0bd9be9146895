import type { Command } from 'commander';
import { ask, print, withApi } from './admin-api.js';

interface Shown {
  readonly network: string;
  readonly till: string | null;
  readonly by: string;
  readonly reason: string;
  readonly times: number;
}

/** `waypost bans …`: who is not let in for a time, over the admin API. */
export function addBans(program: Command): void {
  const bans = program.command('bans').description('addresses that are not let in; WAYPOST_API_KEY has the key');
  const command = (name: string, description: string) => withApi(bans.command(name).description(description));
  command('list', 'the bans in force, those that last longest first').action(async (options) => {
    const { data, total } = await ask(options, '/admin/v1/bans');
    const rows = data as Shown[];
    for (const { network, till, by, reason, times } of rows) {
      print([network, till ?? 'for good', by, reason, times > 0 ? `time ${times}` : ''].filter(Boolean).join('\t'));
    }
    if (rows.length === 0) print('Nobody is banned.');
    if (Number(total) > rows.length) print(`There are ${total} in all.`);
  });
  command('add', 'let a network in no more')
    .argument('<network>', 'an address, or such as 192.0.2.0/24')
    .requiredOption('--reason <text>', 'what the audit keeps')
    .option('--for <seconds>', 'for good where absent')
    .action(async (network: string, { reason, for: seconds, ...options }) => {
      const body = { network, reason, ...(seconds ? { for: Number(seconds) } : {}) };
      const answer = await ask(options, '/admin/v1/bans/add', body);
      print(`${String(answer.network)} is banned ${answer.till ? `until ${String(answer.till)}` : 'for good'}.`);
    });
  command('remove', 'let a network in again, and forget its failures')
    .argument('<network>')
    .action(async (network: string, options) => {
      const { removed, network: shown } = await ask(options, '/admin/v1/bans/remove', { network });
      print(removed ? `${String(shown)} is let in again.` : `${String(shown)} was not banned.`);
    });
}
