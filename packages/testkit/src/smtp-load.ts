import { SmtpDialog } from './smtp-dialog.js';

export interface LoadOptions {
  readonly port: number;
  readonly messages: number;
  /** The first message's number, 0 where left out. */
  readonly first?: number;
  readonly sessions: number;
  /** The recipient of a message by its number; `to@example.org` where left out. */
  readonly recipient?: (number: number) => string;
  /** Octets of the body beside its header section. */
  readonly size?: number;
  /** Bound for all of it, ms. */
  readonly timeout?: number;
  /** Called with the number of messages answered 250 so far. */
  readonly onAccepted?: (count: number) => void;
}

/** What a load came to. */
export interface LoadResult {
  /** Messages answered 250; each carries `X-Number: n`, counted from `first`. */
  readonly accepted: number;
  /** Times a message was sent again because its answer was missing or temporary. */
  readonly repeated: number;
}

/**
 * Sends messages as a patient client does: what was not answered 250 is sent again, over a new connection where the old one
 * is lost. So each message was accepted once, and perhaps once more unheard.
 */
export async function sendLoad(options: LoadOptions): Promise<LoadResult> {
  const { messages, first = 0, sessions, size = 2000, timeout = 120_000, recipient = () => 'to@example.org' } = options;
  const until = Date.now() + timeout;
  const waiting = Array.from({ length: messages }, (_, at) => first + at);
  const filler = `${'x'.repeat(70)}\r\n`.repeat(Math.ceil(size / 72));
  let accepted = 0;
  let repeated = 0;
  const session = async () => {
    let dialog: SmtpDialog | undefined;
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      for (let done = false; !done; ) {
        if (Date.now() > until)
          throw new Error(`only ${accepted} of ${messages} messages were accepted in ${timeout} ms`);
        dialog ??= await open(options.port);
        done = dialog !== undefined && (await sendOne(dialog, { number, filler, to: recipient(number) }));
        if (done) {
          accepted += 1;
          options.onAccepted?.(accepted);
        } else {
          repeated += 1;
          dialog?.close();
          dialog = undefined;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    }
    dialog?.close();
  };
  await Promise.all(Array.from({ length: sessions }, session));
  return { accepted, repeated };
}

async function open(port: number): Promise<SmtpDialog | undefined> {
  try {
    const dialog = await SmtpDialog.open(port);
    if (!(await dialog.reply()).startsWith('220')) return undefined;
    return (await dialog.say('EHLO load.test')).startsWith('250') ? dialog : undefined;
  } catch {
    return undefined;
  }
}

interface Message {
  readonly number: number;
  readonly filler: string;
  readonly to: string;
}

async function sendOne(dialog: SmtpDialog, { number, filler, to }: Message): Promise<boolean> {
  dialog.write(`MAIL FROM:<load@example.com>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
  for (const expected of ['250', '250', '354']) {
    if (!(await dialog.reply()).startsWith(expected)) return false;
  }
  dialog.write(`X-Number: ${number}\r\nSubject: load\r\n\r\n${filler}.\r\n`);
  return (await dialog.reply()).startsWith('250');
}

/** @returns how often each number arrived, from the messages' own header field. */
export function countNumbers(bodies: readonly Buffer[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const body of bodies) {
    const number = Number(/^X-Number: (\d+)/m.exec(body.toString('latin1', 0, 4096))?.[1] ?? -1);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  return counts;
}
