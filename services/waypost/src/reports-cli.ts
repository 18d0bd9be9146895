import type { Config } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import {
  buildDmarcReport,
  buildTlsReport,
  dayOf,
  REPORT_KINDS,
  ReportLedger,
  type ReportSubject,
  readDmarc,
  readTls,
  reportId,
} from '@waypost/reports';
import { type Command, InvalidArgumentError, Option } from 'commander';

type WithRedis = <T>(
  options: { config?: string },
  work: (redis: RedisHandle, config: Config) => Promise<T>,
) => Promise<T>;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function day(text: string): string {
  const at = Date.parse(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(at)) throw new InvalidArgumentError('write a day as 2026-11-25');
  return text;
}

const domain = (text: string): string => text.toLowerCase().replace(/\.$/, '');
const yesterday = () => dayOf(Date.now() - 86_400_000);

/** `waypost reports …`: the daily reports to other domains that wait to be sent. */
export function addReports(program: Command, withRedis: WithRedis): void {
  const group = program.command('reports').description('daily reports to domains that ask for them');
  const command = (name: string, description: string) =>
    group
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'the configuration file')
      .addOption(new Option('--kind <kind>', 'of reports').choices([...REPORT_KINDS]).default('tls'));
  command('list', 'what waits: day, domain, when it is due, tries, what went wrong').action(
    async ({ kind, ...options }) => {
      const list = await withRedis(options, ({ group: executor }) => new ReportLedger(executor).pending(kind));
      if (list.length === 0) print('No report waits.');
      for (const { subject, due, tries, sending, error } of list) {
        const state = sending ? 'being sent' : `due ${new Date(due).toISOString()}`;
        print([subject.day, subject.domain, state, `tries ${tries}`, ...(error ? [error] : [])].join('\t'));
      }
    },
  );
  command('print', 'the report of a domain as it stands; also of today, so far')
    .argument('<domain>', '', domain)
    .argument('[day]', 'UTC; yesterday where left out', day)
    .action(async (name: string, on: string | undefined, { kind, ...options }) => {
      const subject: ReportSubject = { kind, day: on ?? yesterday(), domain: name };
      const make = kind === 'tls' ? tlsReport : dmarcReport;
      print(await withRedis(options, ({ group: executor }, config) => make(executor, subject, config)));
    });
  command('send', 'let a report go out now, whose day is over')
    .argument('<domain>', '', domain)
    .argument('[day]', 'UTC; yesterday where left out', day)
    .action(async (name: string, on: string | undefined, { kind, ...options }) => {
      const subject: ReportSubject = { kind, day: on ?? yesterday(), domain: name };
      const said = await withRedis(options, ({ group: executor }) => new ReportLedger(executor).hurry(subject));
      print(ANSWERS[said](subject));
    });
}

const ANSWERS = {
  due: ({ domain: name, day: on }: ReportSubject) => `The report of ${on} about ${name} goes out now.`,
  unknown: ({ domain: name, day: on }: ReportSubject) => `No report of ${on} about ${name} waits.`,
  sending: ({ domain: name, day: on }: ReportSubject) => `The report of ${on} about ${name} is being sent already.`,
  not_over: ({ day: on }: ReportSubject) => `${on} is not over (UTC): a day has one report.`,
};

async function tlsReport(executor: RedisHandle['group'], subject: ReportSubject, config: Config): Promise<string> {
  const policies = await readTls(executor, subject);
  if (policies.length === 0) return `Nothing was counted about ${subject.domain} on ${subject.day}.`;
  const { reports, server } = config;
  const { organization = server.hostname, contact = reports.from ?? '' } = reports;
  const id = reportId(subject, server.hostname);
  return JSON.stringify(buildTlsReport({ id, organization, contact, day: subject.day, policies }), null, 2);
}

async function dmarcReport(executor: RedisHandle['group'], subject: ReportSubject, config: Config): Promise<string> {
  const counted = await readDmarc(executor, subject);
  if (!counted) return `Nothing was counted about ${subject.domain} on ${subject.day}.`;
  const { reports, server } = config;
  const { organization = server.hostname, from = '', contact } = reports;
  const id = reportId(subject, server.hostname);
  return buildDmarcReport({ id, organization, email: from, contact, day: subject.day, ...counted });
}
