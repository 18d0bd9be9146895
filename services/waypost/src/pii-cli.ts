import { ConfigError, loadConfig } from '@waypost/config';
import { hashAddress } from '@waypost/runtime';
import type { Command } from 'commander';
import { print } from './admin-api.js';

/** `waypost pii …`: how an address that logs hash can be followed. */
export function addPii(program: Command, env: Readonly<Record<string, string | undefined>>): void {
  const pii = program.command('pii').description('what logs tell of people');
  pii
    .command('hash')
    .description('what stands for an address in the logs (telemetry.pii: hashed)')
    .argument('<address>')
    .requiredOption('-c, --config <file>', 'the configuration file, which has the key')
    .action((address: string, { config }: { config: string }) => {
      const key = loadConfig({ file: config, env }).telemetry.pii_key;
      if (!key) throw new ConfigError([`${config} has no telemetry.pii_key`]);
      print(hashAddress(address, key));
    });
}
