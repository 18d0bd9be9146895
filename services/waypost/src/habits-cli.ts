import type { Command } from 'commander';
import { ask, print, withApi } from './admin-api.js';

interface Shown {
  readonly credential: string;
  readonly count: number;
  readonly mean: number;
  readonly peak: number;
  readonly anomaly: boolean;
  readonly held_till: string | null;
}

/** `waypost habits …`: what credentials use to send, over the admin API. */
export function addHabits(program: Command): void {
  const habits = program.command('habits').description('what credentials use to send; WAYPOST_API_KEY has the key');
  const command = (name: string, description: string) => withApi(habits.command(name).description(description));
  command('list', 'recipients in the last hour, an hour by habit, and at most; who sent last comes first').action(
    async (options) => {
      const { data } = await ask(options, '/admin/v1/habits');
      print(['credential', 'last hour', 'mean', 'peak', ''].join('\t'));
      for (const { credential, count, mean, peak, anomaly, held_till } of data as Shown[]) {
        const state = held_till ? `held until ${held_till}` : anomaly ? 'anomaly' : '';
        print([credential, count, mean, peak, state].join('\t'));
      }
    },
  );
  command('reset', 'let a credential send again, and take what it sent for its habit')
    .argument('<credential>')
    .action(async (credential: string, options) => {
      const { known } = await ask(options, '/admin/v1/habits/reset', { credential });
      print(known ? `${credential} may send; what it sent is its habit.` : `Nothing is known of ${credential}.`);
    });
}
