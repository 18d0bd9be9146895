import { runCli } from './cli.js';

const code = await runCli(process.argv.slice(2));
// What is printed into a pipe is written later: to leave at once would cut it off.
await new Promise<void>((done) => process.stdout.write('', () => done()));
process.exit(code);
