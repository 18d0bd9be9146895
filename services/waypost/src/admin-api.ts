import { type Command, Option } from 'commander';

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

export interface ApiOptions {
  readonly api: string;
  readonly apiKey?: string;
}

/** Gives a command the options that say where the admin API is. */
export function withApi(command: Command): Command {
  return command
    .option('--api <url>', 'the admin API', 'http://127.0.0.1:8081')
    .addOption(new Option('--api-key <key>', 'of scope admin; best given in the environment').env('WAYPOST_API_KEY'));
}

/** Asks the admin API. @throws Error that says what it answered. */
export async function ask(options: ApiOptions, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const key = options.apiKey;
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
