import { readFile, writeFile } from 'node:fs/promises';
import {
  baseModel,
  Classifier,
  costOf,
  describeFigures,
  evaluate,
  Lessons,
  learn,
  openMail,
  readCorpus,
  readModelFile,
  type Sample,
  SampleReader,
  splitByFolder,
  splitByTime,
  writeModel,
} from '@waypost/classifier';
import type { Config } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import { type Command, InvalidArgumentError } from 'commander';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const percent = (part: number, digits = 2) => `${(part * 100).toFixed(digits)} %`;

/** Where labelled mail lies. */
interface Labelled {
  readonly corpus?: string;
  readonly ham?: readonly string[];
  readonly spam?: readonly string[];
}

type WithRedis = <T>(
  options: { config?: string },
  work: (redis: RedisHandle, config: Config) => Promise<T>,
) => Promise<T>;

/** `waypost spam …`: the statistical classifier. */
export function addSpam(program: Command, withRedis: WithRedis): void {
  const group = program.command('spam').description('the statistical classifier of spam');
  labelled(group.command('evaluate').description('train on one part of a collection and try it on the other'))
    .option('--split <how>', 'folder or time', splitName, 'folder')
    .option('--test <folders...>', 'with --split folder: the folders to test on', [])
    .option('--share <part>', 'with --split time: the part to train on', share, 0.7)
    .option('--shipped', 'try the shipped model on all of the collection instead')
    .option('--json', 'print the figures as JSON')
    .action(async (options) => {
      const samples = await readLabelled(options);
      const split = options.shipped
        ? { training: [], test: samples, left: 0, how: 'the shipped model, tested on all' }
        : options.split === 'time'
          ? splitByTime(samples, options.share)
          : splitByFolder(samples, options.test);
      const figures = evaluate(split, options.shipped ? baseModel() : undefined);
      const cost = await costOfTen(options);
      print(options.json ? JSON.stringify({ ...figures, cost }, null, 2) : describeFigures(figures));
      if (cost && !options.json) {
        const { messages, octets, cpu } = cost;
        print(
          `CPU: ${cpu.toFixed(2)} ms for one of ${messages} messages of ${(octets / 1_000).toFixed(1)} KB on average`,
        );
      }
    });
  labelled(group.command('build-model').description('make a model file, as the shipped one is made'))
    .requiredOption('--out <file>', 'the model file to write')
    .action(async (options) => {
      const samples = await readLabelled(options);
      const text = writeModel(learn(samples).model);
      await writeFile(options.out, text);
      print(`${options.out}: ${text.length} octets from ${samples.length} messages.`);
    });
  addTeaching(group, withRedis);
}

/** The commands about what a running relay's classifier was taught. */
function addTeaching(group: Command, withRedis: WithRedis): void {
  const command = (name: string, description: string) =>
    group
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'the configuration file')
      .option('--tenant <tenant>', "this tenant's mail; without it everybody's");
  command('train', 'teach the classifier what is spam and what is wanted')
    .option('--ham <paths...>', 'folders, Maildirs, mboxes or messages that are wanted mail', [])
    .option('--spam <paths...>', 'the same of spam', [])
    .action(async ({ ham, spam, tenant, ...options }) => {
      if (ham.length + spam.length === 0)
        throw new UsageError('Say what to learn from: --ham DIR, --spam DIR, or both');
      const counts = await withRedis(options, (redis, { classifier: settings }) => {
        const lessons = new Lessons(redis.group, () => settings.learning);
        return train({ lessons, classifier: classifierOf(settings), tenant }, { ham, spam });
      });
      print(`${counts.learned} messages learned; ${counts.known} more were known.`);
    });
  command('forget', 'forget what the classifier was taught; the model that ships stays').action(
    async ({ tenant, ...options }) => {
      const gone = await withRedis(options, (redis, { classifier }) =>
        new Lessons(redis.group, () => classifier.learning).forget(tenant),
      );
      print(gone ? 'Forgotten.' : 'There was nothing to forget.');
    },
  );
  command(
    'classify',
    'say what the classifier thinks of messages, and why; with -c or --tenant by what it was taught too',
  )
    .argument('<files...>')
    .action(async (files: string[], { tenant, ...options }) => {
      const taught = async (redis: RedisHandle, { classifier: settings }: Config) => {
        const lessons = new Lessons(redis.group, () => settings.learning);
        const layers = await Promise.all([undefined, ...(tenant ? [tenant] : [])].map((one) => lessons.read(one)));
        return { classifier: classifierOf(settings), layers };
      };
      const alone = { classifier: classifierOf({}), layers: [] };
      const { classifier, layers } = options.config || tenant ? await withRedis(options, taught) : alone;
      for (const file of files) {
        const mail = openMail(await readFile(file));
        const { probability, score, reasons } = classifier.classify(mail, layers);
        print(`${file}: spam with ${percent(probability, 1)}, score ${score.toFixed(2)}: ${reasons.join(', ')}`);
      }
    });
}

const classifierOf = ({ model }: { readonly model?: string | undefined }) =>
  new Classifier(model === undefined ? baseModel() : readModelFile(model));

/** Teaches ham and spam in turns, so that neither is taught against nothing. */
async function train(
  by: { lessons: Lessons; classifier: Classifier; tenant?: string },
  paths: { readonly ham: readonly string[]; readonly spam: readonly string[] },
) {
  const counts = { learned: 0, known: 0, limited: 0 };
  const sources = [
    { as: 'ham' as const, messages: readAll(paths.ham) },
    { as: 'spam' as const, messages: readAll(paths.spam) },
  ];
  while (sources.length > 0) {
    for (const source of [...sources]) {
      const { value, done } = await source.messages.next();
      if (done) sources.splice(sources.indexOf(source), 1);
      else counts[await by.lessons.learn(value.message, source.as, { ...by, unlimited: true })] += 1;
    }
  }
  return counts;
}

async function* readAll(paths: readonly string[]) {
  for (const path of paths) yield* readCorpus(path);
}

function labelled(command: Command): Command {
  return command
    .option('--corpus <dir>', 'a folder whose folders have ham or spam in their names')
    .option('--ham <paths...>', 'folders, Maildirs, mboxes or messages that are wanted mail')
    .option('--spam <paths...>', 'the same of spam');
}

function splitName(text: string): string {
  if (text === 'folder' || text === 'time') return text;
  throw new InvalidArgumentError('write folder or time');
}

function share(text: string): number {
  const part = Number(text);
  if (part > 0 && part < 1) return part;
  throw new InvalidArgumentError('write a number between 0 and 1, such as 0.7');
}

async function readLabelled({ corpus, ham = [], spam = [] }: Labelled): Promise<Sample[]> {
  const reader = new SampleReader();
  const samples: Sample[] = [];
  const add = async (path: string, label?: boolean) => {
    for await (const { source, folder, message } of readCorpus(path)) {
      const isSpam = label ?? labelOf(source.slice(path.length));
      if (isSpam !== undefined) samples.push(reader.read(message, { source, folder, spam: isSpam }));
    }
  };
  if (corpus) await add(corpus);
  for (const path of ham) await add(path, false);
  for (const path of spam) await add(path, true);
  const count = samples.filter((sample) => sample.spam).length;
  if (count === 0 || count === samples.length) {
    throw new UsageError('Both ham and spam are needed: --ham DIR --spam DIR, or --corpus DIR with folders named so');
  }
  return samples;
}

/** The cost of those messages of the collection that are about 10 KB long; undefined where it has none. */
async function costOfTen({ corpus, ham = [], spam = [] }: Labelled) {
  const messages: Buffer[] = [];
  for (const path of [...(corpus ? [corpus] : []), ...ham, ...spam]) {
    for await (const { message } of readCorpus(path)) {
      if (message.length > 8_000 && message.length < 12_000 && messages.length < 1_000) messages.push(message);
    }
  }
  return messages.length > 0 ? costOf(baseModel(), messages) : undefined;
}

/** Something that a user can act on. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @param path below the collection's folder. */
function labelOf(path: string): boolean | undefined {
  const folders = path.toLowerCase().split('/').slice(0, -1).join('/');
  if (/ham|nice|inbox/.test(folders)) return false;
  return /spam|junk/.test(folders) ? true : undefined;
}
