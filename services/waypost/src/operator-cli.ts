import type { Config } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import type { Command } from 'commander';
import { addBans } from './bans-cli.js';
import { addDkim } from './dkim-cli.js';
import { addHabits } from './habits-cli.js';
import { addHeld } from './held-cli.js';
import { addPii } from './pii-cli.js';
import { addPolicy } from './policy-cli.js';
import { addQueue } from './queue-cli.js';
import { addReports } from './reports-cli.js';
import { addSmime } from './smime-cli.js';
import { addSpam } from './spam-cli.js';
import { addSuppressions } from './suppressions-cli.js';

type WithRedis = <T>(
  options: { config?: string },
  work: (redis: RedisHandle, config: Config) => Promise<T>,
) => Promise<T>;

/**
 * Commands that people run, apart from those of services: these start without what the commands load.
 * @param onEnd told of commands that report by their exit code whether they found something wrong.
 */
export function addOperatorCommands(
  program: Command,
  env: Readonly<Record<string, string | undefined>>,
  withRedis: WithRedis,
  onEnd: (failed: boolean) => void,
): void {
  addPii(program, env);
  addHabits(program);
  addQueue(program);
  addHeld(program);
  addPolicy(program);
  addDkim(program, env, onEnd);
  addBans(program);
  addSmime(program, env);
  addSpam(program, withRedis);
  addSuppressions(program, withRedis);
  addReports(program, withRedis);
}
