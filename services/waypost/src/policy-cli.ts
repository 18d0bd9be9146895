import { readFileSync } from 'node:fs';
import type { Explanation } from '@waypost/inline';
import { type Command, Option } from 'commander';
import { print } from './admin-api.js';

/** `waypost policy test`: what a running relay's policy would do with a message. */
export function addPolicy(program: Command): void {
  const policy = program.command('policy').description('what policy does with mail');
  policy
    .command('test')
    .description('a dry run of policy over a message file, step by step; nothing changes by it')
    .argument('<file>', 'the message')
    .option('--from <address>', 'envelope sender; that of the From field where absent')
    .option('--to <address...>', 'envelope recipients; those of the To field where absent')
    .option('--ip <address>', 'where it comes from')
    .option('--helo <name>')
    .option('--tenant <tenant>')
    .option('--credential <id>')
    .option('--listener <name>', 'the listener it is to have come in by')
    .option('--json', 'all of it, as JSON')
    .option('--url <url>', 'the HTTP API', 'http://127.0.0.1:8080')
    .addOption(new Option('--api-key <key>', 'of scope admin; best given in the environment').env('WAYPOST_API_KEY'))
    .action(async (file: string, { url, apiKey, json, ...given }) => {
      const found = await ask(url, apiKey, given, readFileSync(file));
      if (json) print(JSON.stringify(found, null, 2));
      else for (const line of linesOf(found)) print(line);
    });
}

async function ask(url: string, key: string | undefined, given: Record<string, unknown>, message: Buffer) {
  const query = Object.entries(given).flatMap(([name, value]) =>
    [value].flat().map((one) => [name, String(one)] as [string, string]),
  );
  const response = await fetch(new URL(`/v1/policy/check?${new URLSearchParams(query)}`, url), {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822', ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: message as Uint8Array<ArrayBuffer>,
  }).catch((error: Error & { cause?: Error }) => {
    throw failed(`The API at ${url} cannot be reached (${error.cause?.message ?? error.message}); name it with --url`);
  });
  const answer = (await response.json()) as Explanation & { readonly detail?: string };
  if (!response.ok)
    throw failed(`${response.status}: ${answer.detail}${response.status === 401 ? ' (WAYPOST_API_KEY)' : ''}`);
  return answer;
}

const failed = (message: string) => Object.assign(new Error(message), { name: 'ApiError' });

function linesOf({ steps, verdict, reason, score, refused, leaves, tags }: Explanation): string[] {
  return [
    ...steps.flatMap((step) => [
      `${step.check.padEnd(16)} ${step.verdict.padEnd(7)} ${step.milliseconds.toFixed(1).padStart(7)} ms  ${step.text ?? ''}`.trimEnd(),
      ...step.symbols.map(({ name, score: one, reason: why }) => `    ${one.toFixed(2).padStart(6)}  ${name}  ${why}`),
      ...step.notes.map((note) => `    ${note}`),
      ...step.headers.map((field) => `    + ${field.replaceAll('\r\n', '\n      ')}`),
    ]),
    '',
    `${verdict}${reason ? `: ${reason}` : ''}   score ${score.toFixed(2)}`,
    ...refused.map(
      ({ recipient, state, reply }) => `${recipient}: ${state}, ${reply.code} ${reply.enhanced ?? ''} ${reply.text}`,
    ),
    ...leaves.map(
      ({ recipients, lanes, routes, removed_headers, replaced }) =>
        `${recipients.join(', ')}: lane ${lanes.join(' ') || 'none'}, route ${routes.join(' ') || 'none'}` +
        `${removed_headers > 0 ? `, ${removed_headers} header fields taken out` : ''}${replaced ? ', message replaced' : ''}`,
    ),
    ...(tags.length > 0
      ? [`tags: ${tags.map(({ name, value }) => (value ? `${name}=${value}` : name)).join(', ')}`]
      : []),
  ];
}
