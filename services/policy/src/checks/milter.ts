import { type MilterConfig, parseEndpoint } from '@waypost/config';
import { createMilter, type MilterFilter, type MilterVerdict } from '@waypost/filters';
import { fieldValue, headerEnd, headerFields, type Reply } from '@waypost/mail';
import { type Check, type CheckContext, PASS, type Verdict } from '../check.js';
import { concerns, consult, type FilterDeps, fieldOf, following, guardOf, observe, plain, refusal } from './filter.js';

/** Takes a message through the configured milters, in their order. */
export function milterCheck({ config, runtime }: FilterDeps): Check {
  const milters = following(
    () => config().filters.milters,
    (list) => ({
      list: list.map((settings) => ({
        settings,
        milter: milterOf(settings, config().server.hostname, runtime.metrics),
      })),
    }),
  );
  return {
    name: 'milter',
    run: (context) => {
      const list = milters()?.list.filter(({ settings }) => concerns(context, settings)) ?? [];
      return list.length === 0 ? PASS : runAll(context, list);
    },
  };
}

const milterOf = (settings: MilterConfig, hostname: string, metrics: FilterDeps['runtime']['metrics']) =>
  createMilter(
    {
      ...guardOf(settings),
      name: `milter ${settings.name}`,
      endpoint: parseEndpoint(settings.address),
      maxSize: settings.max_size,
      hostname,
    },
    observe(`milter ${settings.name}`, metrics),
  );

type Entry = { readonly settings: MilterConfig; readonly milter: MilterFilter };

async function runAll(context: CheckContext, list: readonly Entry[]): Promise<Verdict> {
  const refused: { i: number; reply: Reply }[] = [];
  for (const { settings, milter } of list) {
    const left = context.open.filter(({ i }) => !refused.some((one) => one.i === i));
    const verdict = await consult(context, `milter-${settings.name}`, settings, async (message) => {
      const recipients = left.map(({ recipient }) => recipient.address);
      const answer = await milter.scan({ ...message, recipients });
      if (answer.refused.some(({ action }) => action === 'tempfail'))
        return later(settings.name, answer.refused[0]?.text);
      for (const { i, text } of answer.refused) {
        refused.push({ i: left[i]?.i ?? -1, reply: refusal(text, 'Recipient refused').reply });
      }
      return judge(context, settings.name, answer);
    });
    if (verdict.kind !== 'pass') return verdict;
    if (refused.length === context.open.length) break;
  }
  const [first] = refused;
  return first ? { kind: 'reject', reply: first.reply, rcpts: refused.map(({ i }) => i) } : PASS;
}

const later = (name: string, text: string | undefined): Verdict => ({
  kind: 'defer',
  reason: plain(`milter ${name}: ${text ?? 'later'}`),
});

async function judge(context: CheckContext, name: string, verdict: MilterVerdict): Promise<Verdict> {
  const { action, text, add, change } = verdict;
  if (action === 'reject') return refusal(text, 'Refused by a filter');
  if (action === 'tempfail') return later(name, text);
  // What a milter would have thrown away may be looked for: nothing vanishes without a trace.
  if (action === 'discard') return { kind: 'hold', reason: `milter ${name}: discard` };
  if (change.length > 0) await changeFields(context, change);
  for (const { name: field, value } of add) context.addHeader(fieldOf(field, value));
  if (action === 'quarantine') return { kind: 'hold', reason: plain(`milter ${name}: ${text || 'quarantine'}`) };
  return PASS;
}

/** Takes out the fields that are to be changed, and puts those with a new value before the message. */
async function changeFields(context: CheckContext, changes: MilterVerdict['change']): Promise<void> {
  const message = await context.message();
  const fields = headerFields(message, Math.max(headerEnd(message), 0));
  for (const { name, index, value } of changes) {
    const span = fields.filter((field) => field.name === name.toLowerCase())[Math.max(index, 1) - 1];
    if (span) {
      const old = fieldValue(message, span);
      context.removeHeader((field, given) => field === span.name && given === old);
    }
    if (value !== '') context.addHeader(fieldOf(name, value));
  }
}
