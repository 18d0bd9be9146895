import type { Command } from 'commander';
import { ask, print, withApi } from './admin-api.js';

const MATCH = ['tenant', 'sender', 'domain', 'by', 'older-than'] as const;

function withMatch(command: Command): Command {
  return command
    .option('--tenant <tenant>')
    .option('--sender <address>', 'the envelope sender, or @example.com')
    .option('--domain <domain>', 'of a recipient: example.com or *.example.com')
    .option('--by <check>', 'the check that holds it, such as spam-verdict')
    .option('--older-than <seconds>');
}

function matchOf(options: Record<string, unknown>): Record<string, unknown> {
  const entries = MATCH.flatMap((name) => {
    const value = options[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    return value === undefined ? [] : [[name.replace('-', '_'), value] as const];
  });
  return Object.fromEntries(entries);
}

interface Line {
  readonly id: string;
  readonly until: string | null;
  readonly held_by: string | null;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly reason: string | null;
  readonly subject: string | null;
}

/** `waypost held …`: mail that policy holds, and what is to become of it, over the admin API. */
export function addHeld(program: Command): void {
  const held = program.command('held').description('mail that policy holds; WAYPOST_API_KEY has the key');
  const command = (name: string, description: string) => withApi(held.command(name).description(description));
  withMatch(command('list', 'what is held, and why')).action(async (options) => {
    const query = new URLSearchParams(matchOf(options) as Record<string, string>);
    const { data, more } = await ask(options, `/admin/v1/held?${query}`);
    const lines = data as Line[];
    if (lines.length === 0) return print('Nothing is held.');
    for (const { id, until, held_by, sender, recipients, reason, subject } of lines) {
      print([id, `until ${until}`, held_by, sender || '<>', recipients.join(','), reason, subject].join('\t'));
    }
    if (more) print('There is more.');
  });
  command('show', 'a held message as text: header, what is to be read, names of attachments')
    .argument('<id>')
    .action(async (id: string, options) => {
      print(JSON.stringify(await ask(options, `/admin/v1/held/${encodeURIComponent(id)}`), null, 2));
    });
  for (const [name, description] of [
    ['release', 'let it go on from behind the check that held it'],
    ['delete', 'end it without telling its sender'],
    ['reject', 'end it, and tell its sender where he is not from outside'],
  ] as const) {
    const one = withMatch(command(name, description).argument('[ids...]', 'messages, instead of a match'));
    if (name === 'release') {
      one.option('--bypass <check...>', 'checks that it is not to meet any more', []);
      one.option('--learn', 'the classifier is told that it is no spam');
    }
    one
      .option('--reason <text>', 'what the sender and the audit are told', '')
      .option('--dry-run', 'only say how many')
      .action(async (ids: string[], options) => {
        const { reason, dryRun = false, bypass = [], learn = false } = options;
        const what = ids.length > 0 ? { ids } : { match: matchOf(options) };
        const order = { action: name, ...what, bypass, learn, reason, dry_run: dryRun };
        print(JSON.stringify(await ask(options, '/admin/v1/held/actions', order), null, 2));
      });
  }
}
