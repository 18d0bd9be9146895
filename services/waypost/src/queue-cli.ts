import type { Command } from 'commander';
import { ask, print, withApi } from './admin-api.js';

const MATCH = ['site', 'domain', 'tenant', 'sender', 'tag', 'status', 'older-than'] as const;

function withMatch(command: Command): Command {
  return withMailMatch(command)
    .option('--status <status>', 'waiting, deferred, active, or unknown: those that wait for a decision')
    .option('--older-than <seconds>');
}

function withMailMatch(command: Command): Command {
  return command
    .option('--site <lane>', 'the site as lanes name it, such as mx:mx.example.net')
    .option('--domain <domain>', 'of a recipient: example.com or *.example.com')
    .option('--tenant <tenant>')
    .option('--sender <address>', 'the envelope sender, or @example.com')
    .option('--tag <tag>', 'name or name=value');
}

function matchOf(options: Record<string, unknown>): Record<string, unknown> {
  const entries = MATCH.flatMap((name) => {
    const value = options[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    return value === undefined ? [] : [[name.replace('-', '_'), value] as const];
  });
  return Object.fromEntries(entries);
}

const query = (match: Record<string, unknown>) =>
  new URLSearchParams(
    Object.entries(match).map(([name, value]) => [name, String(value)] as [string, string]),
  ).toString();

interface TraceLine {
  readonly at: string;
  readonly type: string;
  readonly recipients: readonly string[];
  readonly lane?: string;
  readonly text?: string;
}

/** `waypost queue …`: what waits and why, and what may be done about it, over the admin API. */
export function addQueue(program: Command): void {
  const queue = program
    .command('queue')
    .description('what waits, why, and what to do about it; WAYPOST_API_KEY has the key');
  const command = (name: string, description: string) => withApi(queue.command(name).description(description));
  const show = async (answer: Promise<unknown>) => print(JSON.stringify(await answer, null, 2));
  withMatch(command('list', 'messages in the lanes')).action((options) =>
    show(ask(options, `/admin/v1/queue?${query(matchOf(options))}`)),
  );
  withMatch(command('count', 'how many messages wait how long, by lane')).action(async (options) => {
    const { data, more } = await ask(options, `/admin/v1/queue/count?${query(matchOf(options))}`);
    const rows = data as Record<string, string | number>[];
    const [first] = rows;
    if (!first) return print('Nothing waits.');
    const names = Object.keys(first);
    for (const row of [names, ...rows.map((one) => names.map((name) => String(one[name])))]) print(row.join('\t'));
    if (more) print('There is more than could be looked at.');
  });
  command('why', 'why a message waits, and when it is tried next')
    .argument('<id>')
    .action(async (id: string, options) => {
      const { waiting, stage } = await ask(options, `/admin/v1/messages/${encodeURIComponent(id)}/why`);
      const list = waiting as { recipients: string[]; text: string }[];
      if (list.length === 0) print(`Nothing of it waits: it is ${String(stage)}.`);
      for (const { recipients, text } of list) print(`${recipients.join(', ')}: ${text}`);
    });
  command('trace', 'what happened to a message, in the order of time')
    .argument('<id>')
    .action(async (id: string, options) => {
      const { events } = await ask(options, `/admin/v1/messages/${encodeURIComponent(id)}/trace`);
      for (const { at, type, recipients, lane, text } of events as TraceLine[]) {
        print([at, type, recipients.join(','), lane, text].filter(Boolean).join('\t'));
      }
    });
  for (const [name, description] of [
    ['retry', 'try deferred messages now'],
    ['cancel', 'end messages without telling their senders'],
    ['bounce', 'end messages, and tell their senders'],
    ['settle', 'record messages whose outcome is unknown as delivered'],
    ['reroute', 'give messages another next hop or egress pool'],
  ] as const) {
    const one = withMatch(command(name, description).argument('[ids...]', 'messages, instead of a match'));
    if (name === 'reroute') one.option('--to <target>', "as a route's: smtp://host:port, mx …").option('--pool <pool>');
    one
      .option('--reason <text>', 'what senders and the audit are told', '')
      .option('--dry-run', 'only say how many')
      .action((ids: string[], options) => {
        const what = ids.length > 0 ? { ids } : { match: matchOf(options) };
        const { reason, dryRun = false, to, pool } = options;
        const order = { action: name, ...what, reason, to, pool, dry_run: dryRun };
        return show(ask(options, '/admin/v1/queue/actions', order));
      });
  }
  withMailMatch(
    command('suspend', 'let nothing go to a place, or nothing of a kind').argument(
      '[scope]',
      'site:mx:mx.example.net, provider:google, source:blue; or say what mail by options',
    ),
  )
    .requiredOption('--reason <text>')
    .option('--for <seconds>', 'until someone resumes it where absent')
    .action((scope: string | undefined, { reason, for: seconds, ...options }) => {
      const what = scope === undefined ? { match: matchOf(options) } : { scope };
      const body = { ...what, reason, ...(seconds ? { for: Number(seconds) } : {}) };
      return show(ask(options, '/admin/v1/queue/suspend', body));
    });
  command('resume', 'lift a suspension')
    .argument('<scope>', 'as "suspensions" names it')
    .action((scope: string, options) => show(ask(options, '/admin/v1/queue/resume', { scope })));
  command('suspensions', 'what is suspended or slowed now').action((options) =>
    show(ask(options, '/admin/v1/queue/suspensions')),
  );
  command('audit', 'who did what').action((options) => show(ask(options, '/admin/v1/queue/audit')));
}
