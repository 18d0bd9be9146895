import { ConfigSource } from '@waypost/config';
import { runServices } from '@waypost/runtime';
import { type Composition, compose, SERVICES, type ServiceName } from './compose.js';
import { EmbeddedRedis } from './embedded-redis.js';

export interface RunOptions {
  readonly file?: string;
  readonly base?: Record<string, unknown>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly services: readonly ServiceName[];
  readonly onReady?: (composition: Composition) => void | Promise<void>;
}

const DEFAULT_REDIS_PORT = 6399;

/**
 * Runs services until a signal ends them, with an embedded Redis where the configuration asks for one.
 * @returns the exit code.
 */
export async function run(options: RunOptions): Promise<number> {
  let composition: Composition | undefined;
  const source = new ConfigSource({
    ...(options.file ? { file: options.file } : {}),
    ...(options.base ? { base: options.base } : {}),
    env: options.env,
    onReload: (changed, restart) => {
      composition?.runtime.metrics.configReloadGood.set(1);
      composition?.runtime.log.info({ changed, needRestart: restart }, 'configuration reloaded');
    },
    onError: (error) => {
      composition?.runtime.metrics.configReloadFailures.inc();
      composition?.runtime.metrics.configReloadGood.set(0);
      composition?.runtime.log.error({ error: error.message }, 'the new configuration is refused, the old one stays');
    },
  });
  const redis = await startRedis(source, options.env, (code) => {
    composition?.runtime.log.error({ code }, 'Redis died and is started again');
  });
  try {
    // Other processes may share an embedded Redis where this one does not hold every service.
    const alone = redis !== undefined && SERVICES.every((name) => options.services.includes(name));
    composition = await compose({ source, services: options.services, alone });
    const { runtime, health, services } = composition;
    runtime.metrics.configReloadGood.set(1);
    const started = composition;
    source.watch();
    return await runServices(services, {
      grace: source.current.grace,
      onStarted: () => {
        health.started();
        runtime.log.info({ services: options.services, metricsPort: health.port }, 'ready');
        runtime.log.flush();
        void options.onReady?.(started);
      },
      onStopping: () => {
        health.stopping();
        runtime.log.info({}, 'stopping');
      },
      onError: (error, service) => runtime.log.error({ service, error: error.message }, 'did not stop cleanly'),
    });
  } finally {
    await composition?.close();
    await redis?.stop();
  }
}

async function startRedis(
  source: ConfigSource,
  env: RunOptions['env'],
  onCrash: (code: number | null) => void,
): Promise<EmbeddedRedis | undefined> {
  const { embedded, url } = source.current.redis;
  if (!embedded || url) return undefined;
  const redis = new EmbeddedRedis({
    dir: embedded.dir,
    port: embedded.port ?? DEFAULT_REDIS_PORT,
    path: env.PATH ?? '',
    onCrash,
  });
  await redis.start();
  // The configuration in force knows where it runs.
  Object.assign(source.current.redis, { url: redis.url });
  return redis;
}
