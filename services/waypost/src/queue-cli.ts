import type { Command } from 'commander';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

interface ApiOptions {
  readonly api: string;
}

/** Asks the admin API. @throws Error that says what it answered. */
async function ask(options: ApiOptions, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const key = process.env.WAYPOST_API_KEY;
  const response = await fetch(new URL(path, options.api), {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(key ? { authorization: `Bearer ${key}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((error: Error & { cause?: Error }) => {
    throw failed(
      `The admin API at ${options.api} cannot be reached (${error.cause?.message ?? error.message}); name it with --api`,
    );
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok)
    throw failed(`${response.status}: ${String(answer.detail)}${response.status === 401 ? ' (WAYPOST_API_KEY)' : ''}`);
  return answer;
}

/** An error whose text is enough for its reader. */
const failed = (message: string) => Object.assign(new Error(message), { name: 'ApiError' });

const MATCH = ['site', 'domain', 'tenant', 'sender', 'tag', 'status', 'older-than'] as const;

function withMatch(command: Command): Command {
  return command
    .option('--site <lane>', 'the site as lanes name it, such as mx:mx.example.net')
    .option('--domain <domain>', 'of a recipient: example.com or *.example.com')
    .option('--tenant <tenant>')
    .option('--sender <address>', 'the envelope sender, or @example.com')
    .option('--tag <tag>', 'name or name=value')
    .option('--status <status>', 'waiting, deferred or active')
    .option('--older-than <seconds>');
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

/** `waypost queue …`: what waits and why, and what may be done about it, over the admin API. */
export function addQueue(program: Command): void {
  const queue = program
    .command('queue')
    .description('what waits, why, and what to do about it; WAYPOST_API_KEY has the key');
  const command = (name: string, description: string) =>
    queue.command(name).description(description).option('--api <url>', 'the admin API', 'http://127.0.0.1:8081');
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
  for (const [name, description] of [
    ['retry', 'try deferred messages now'],
    ['cancel', 'end messages without telling their senders'],
    ['bounce', 'end messages, and tell their senders'],
  ] as const) {
    withMatch(command(name, description).argument('[ids...]', 'messages, instead of a match'))
      .option('--reason <text>', 'what senders and the audit are told', '')
      .option('--dry-run', 'only say how many')
      .action((ids: string[], options) => {
        const what = ids.length > 0 ? { ids } : { match: matchOf(options) };
        const { reason, dryRun = false } = options;
        return show(ask(options, '/admin/v1/queue/actions', { action: name, ...what, reason, dry_run: dryRun }));
      });
  }
  command('suspend', 'let nothing go to a site or provider, or from a source')
    .argument('<scope>', 'site:mx:mx.example.net, provider:google, source:blue')
    .requiredOption('--reason <text>')
    .option('--for <seconds>', 'until someone resumes it where absent')
    .action((scope: string, { reason, for: seconds, ...options }) =>
      show(ask(options, '/admin/v1/queue/suspend', { scope, reason, ...(seconds ? { for: Number(seconds) } : {}) })),
    );
  command('resume', 'lift a suspension')
    .argument('<scope>')
    .action((scope: string, options) => show(ask(options, '/admin/v1/queue/resume', { scope })));
  command('suspensions', 'what is suspended or slowed now').action((options) =>
    show(ask(options, '/admin/v1/queue/suspensions')),
  );
  command('audit', 'who did what').action((options) => show(ask(options, '/admin/v1/queue/audit')));
}
