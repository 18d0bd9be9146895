import { type Config, ConfigError, configJsonSchema, loadConfig, processEnvironment } from '@waypost/config';
import { openRedis } from '@waypost/redis';
import { KeyStore, MessageStore } from '@waypost/store';
import { Command } from 'commander';
import { type Composition, SERVICES, type ServiceName } from './compose.js';
import { EmbeddedRedisError } from './embedded-redis.js';
import { run } from './run.js';
import { addSmoke } from './smoke.js';
import { firstKey, upDefaults, upMessage } from './up.js';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/**
 * Runs one command line.
 * @returns the exit code.
 */
export async function runCli(argv: readonly string[]): Promise<number> {
  let code = 0;
  const env = processEnvironment();
  const program = new Command('waypost').description('An email relay: SMTP and HTTP in, policy, shaped delivery out.');
  const finish = (work: () => Promise<number>) => async () => {
    code = await work();
  };
  program
    .command('up')
    .description('run everything on this machine, with a Redis of its own')
    .option('-c, --config <file>', 'a configuration file over the defaults')
    .option('-d, --data <dir>', 'where mail and keys are kept', './data')
    .action((options) => finish(() => up(options, env))());
  program
    .command('run')
    .description('run services as a process: all, or some of ingress, policy, delivery, api, events')
    .argument('<services...>')
    .requiredOption('-c, --config <file>', 'the configuration file')
    .action((names: string[], options) => finish(() => run({ file: options.config, env, services: chosen(names) }))());
  const config = program.command('config').description('look at a configuration');
  config
    .command('check')
    .argument('<file>')
    .action((file: string) => {
      loadConfig({ file, env });
      print(`${file} is good.`);
    });
  config.command('schema').action(() => print(JSON.stringify(configJsonSchema(), null, 2)));
  addKeys(program, env);
  addMessage(program, env);
  addSmoke(program, (options, work) => withRedis(options, env, work));
  if (!['run', 'up'].includes(argv[0] ?? '')) {
    const { addOperatorCommands } = await import('./operator-cli.js');
    addOperatorCommands(
      program,
      env,
      (options, work) => withRedis(options, env, work),
      (failed) => {
        code = failed ? 1 : 0;
      },
    );
  }
  try {
    await program.parseAsync(argv as string[], { from: 'user' });
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof EmbeddedRedisError || isPlain(error))) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
  return code;
}

/** Errors that a user can act on: their text is enough. */
function isPlain(error: unknown): boolean {
  const { name, code } = error as NodeJS.ErrnoException;
  return (
    name === 'RedisSetupError' ||
    name === 'ApiError' ||
    name === 'UsageError' ||
    ['EADDRINUSE', 'EACCES', 'ECONNREFUSED', 'ENOENT'].includes(code ?? '') ||
    /Redis cannot be reached/.test(String(error))
  );
}

function chosen(names: readonly string[]): ServiceName[] {
  if (names.includes('all')) return [...SERVICES];
  const unknown = names.find((name) => !(SERVICES as readonly string[]).includes(name));
  if (unknown)
    throw new ConfigError([`there is no service "${unknown}"; choose all, or some of ${SERVICES.join(', ')}`]);
  return names as ServiceName[];
}

async function up(
  options: { config?: string; data: string },
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const base = upDefaults(options.data);
  return run({
    ...(options.config ? { file: options.config } : {}),
    base,
    env,
    services: SERVICES,
    onReady: async (composition) => print(upMessage(await describe(composition, options, env, base))),
  });
}

async function describe(
  composition: Composition,
  options: { config?: string; data: string },
  env: Readonly<Record<string, string | undefined>>,
  base: Record<string, unknown>,
) {
  const { http, api, listeners } = loadConfig({ ...(options.config ? { file: options.config } : {}), env, base });
  const what = {
    submission: 'log in with any name and the API key',
    relay: 'for trusted networks, no login',
    mx: 'for its own domains',
  };
  return {
    http: `http://${http.host}:${http.port}`,
    api: `http://${api.host}:${api.port}`,
    metrics: `http://127.0.0.1:${composition.health.port}/metrics`,
    key: await firstKey(composition, options.data),
    listeners: listeners.map(({ name, host, kind, tls }) => ({
      name,
      address: `${host}:${composition.ingress?.ports.get(name) ?? 0}`,
      what: `${tls === 'implicit' ? 'TLS; ' : tls === 'starttls' ? 'STARTTLS; ' : ''}${what[kind]}`,
    })),
  };
}

/** Commands that talk to a running relay's Redis: `-c` where there is a file, else the one of `waypost up`. */
async function withRedis<T>(
  options: { config?: string },
  env: Readonly<Record<string, string | undefined>>,
  work: (redis: Awaited<ReturnType<typeof openRedis>>, config: Config) => Promise<T>,
): Promise<T> {
  const config = loadConfig({ ...(options.config ? { file: options.config } : {}), env });
  const { embedded } = config.redis;
  const url = config.redis.url ?? `redis://127.0.0.1:${embedded?.port ?? 6399}`;
  const redis = await openRedis(
    { ...config.redis, ...(options.config && !embedded ? {} : { url }) },
    { name: 'waypost cli' },
  );
  return work(redis, config).finally(() => redis.close());
}

function addKeys(program: Command, env: Readonly<Record<string, string | undefined>>): void {
  const keys = program.command('keys').description('API keys, which are SMTP passwords too');
  const withConfig = (command: Command) => command.option('-c, --config <file>', 'the configuration file');
  withConfig(keys.command('create').argument('<name>'))
    .option('--scope <scope...>', 'send, read, admin', ['send', 'read'])
    .option('--domain <domain...>', 'sender domains it may use', ['*'])
    .option('--network <network...>', 'networks it may be used from', [])
    .option('--tenant <tenant>', 'whose mail it sends and sees')
    .action(async (name: string, options) => {
      const { scope: scopes, domain: domains, network: networks, tenant } = options;
      const input = { name, scopes, domains, networks, ...(tenant ? { tenant } : {}) };
      const { secret } = await withRedis(options, env, (redis) => new KeyStore(redis.group).create(input));
      print(`${secret}\nKeep it: it is not shown again.`);
    });
  withConfig(keys.command('list')).action(async (options) => {
    const list = await withRedis(options, env, (redis) => new KeyStore(redis.group).list());
    for (const key of list) print(`${key.id}  ${key.name}  ${key.scopes.join(',')}  ${key.domains.join(',')}`);
  });
  withConfig(keys.command('revoke').argument('<id>')).action(async (id: string, options) => {
    const gone = await withRedis(options, env, (redis) => new KeyStore(redis.group).revoke(id));
    print(gone ? `${id} is revoked.` : `There is no key ${id}.`);
  });
}

function addMessage(program: Command, env: Readonly<Record<string, string | undefined>>): void {
  program
    .command('message')
    .description('where a message is')
    .argument('<id>')
    .option('-c, --config <file>', 'the configuration file')
    .action(async (id: string, options) => {
      const record = await withRedis(options, env, (redis) => new MessageStore(redis.group, 0).read(id));
      print(record ? JSON.stringify(record, null, 2) : `There is no message ${id}.`);
    });
}
