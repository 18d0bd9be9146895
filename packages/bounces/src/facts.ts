import type { BounceFacts } from '@waypost/mail';

const CODE = /(?:^|[\s:;(['"<-])([45]\d\d)(?=[\s-](?!\d{2}:))/m;
const ENHANCED = /(?<![\d.])([245]\.\d{1,2}\.\d{1,3})(?![\d.])/;

/** @returns what an SMTP server said, where a text has it: from its code to the end of the paragraph. */
export function essence(text: string): string {
  const at = CODE.exec(text)?.index;
  if (at === undefined) return '';
  const rest = text.slice(at);
  return rest.slice(0, /\n[ \t]*\n/.exec(rest)?.index ?? rest.length);
}

/** How reports say which command was answered last. */
const COMMAND =
  '(end of data|data|rcpt(?: to)?|recipient|mail(?: from)?|helo|ehlo|connect(?:ing|ion)?|initial (?:server )?greeting)';
const PHASES: readonly RegExp[] = [
  new RegExp(String.raw`in reply to (?:the )?${COMMAND}\b`, 'i'),
  new RegExp(
    String.raw`(?:error|rejected|refused|failed|response|replied|said)[^\n]{0,80}?\b(?:after|to|during|at)\b (?:the )?(?:final )?${COMMAND}\b`,
    'i',
  ),
  new RegExp(String.raw`\bafter ${COMMAND}(?:\b|:)`, 'i'),
  new RegExp(String.raw`did not like our (?:final )?${COMMAND}\b`, 'i'),
  new RegExp(String.raw`\(${COMMAND}\), with`, 'i'),
  new RegExp(String.raw`does not like ${COMMAND}\b`, 'i'),
  /\[(rcpt|mail|data)(?:_to|_from)?\]/i,
];

/** @returns the facts of a refusal that a text tells. */
export function factsIn(text: string, status?: string): BounceFacts {
  const code = CODE.exec(text)?.[1];
  const said = ENHANCED.exec(text)?.[1];
  const vague = !status || /^[245]\.0\.0$/.test(status);
  const enhanced = vague ? (said ?? status) : status;
  const phase = phaseOf(text);
  return {
    text,
    ...(code ? { code: Number(code) } : {}),
    ...(enhanced ? { enhanced } : {}),
    ...(phase ? { phase } : {}),
  };
}

function phaseOf(text: string): BounceFacts['phase'] {
  const sent = [...text.matchAll(/^\s{0,8}>>> ?([a-z]{4})/gim)].at(-1)?.[1];
  const flat = text.replace(/\s+/g, ' ');
  const named = PHASES.map((one) => one.exec(flat)?.[1]).find((one) => one !== undefined) ?? sent ?? '';
  const word = named.toLowerCase();
  if (word.includes('data')) return 'data';
  if (word.startsWith('rcpt') || word.startsWith('recip')) return 'rcpt';
  if (word.startsWith('mail')) return 'mail';
  if (word === 'helo' || word === 'ehlo') return 'ehlo';
  return word.startsWith('conn') || word.startsWith('init') ? 'connect' : undefined;
}
