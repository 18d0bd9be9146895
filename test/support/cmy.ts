import type { SmtpDialog } from '@waypost/testkit';

/**
 * Plays a dialog in chasquid's `.cmy` language against a server. Of a reply only the class counts (2yz, 5yz): texts and
 * details are each server's own.
 * @param connect opens a connection where the dialog asks for one.
 */
export async function playDialog(text: string, connect: () => Promise<SmtpDialog>): Promise<void> {
  let dialog: SmtpDialog | undefined;
  for (const [at, line] of text.split('\n').entries()) {
    const found = /^c (tcp_connect|close|->|~>|<-|<~|<\.\.\.) ?(.*)$/.exec(line);
    if (!found) continue;
    const [, verb, rest = ''] = found;
    if (verb === 'tcp_connect') {
      dialog?.close();
      dialog = await connect();
    } else if (verb === 'close') dialog?.close();
    else if (verb === '->') dialog?.write(`${rest}\r\n`);
    else if (verb === '~>') dialog?.write(evaluate(rest));
    else {
      const reply = (await dialog?.reply()) ?? '';
      if (reply[0] !== rest[0]) throw new Error(`line ${at + 1}: expected "${rest}", got "${reply}"`);
    }
  }
  dialog?.close();
}

/** Of Python these dialogs use string literals, repetition and joining. */
function evaluate(expression: string): string {
  const repeated = /^\((.+)\) \* (\d+)$/.exec(expression);
  if (repeated) return evaluate(repeated[1] ?? '').repeat(Number(repeated[2]));
  return expression
    .split(' + ')
    .map((part) => {
      const [, literal = '', times = '1'] = /^'(.*)'(?: \* (\d+))?$/.exec(part) ?? [];
      return literal.replaceAll('\\r', '\r').replaceAll('\\n', '\n').repeat(Number(times));
    })
    .join('');
}
