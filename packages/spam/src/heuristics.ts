import type { ParsedMail } from '@waypost/mime';
import { checkHeaders } from './headers.js';
import { readHtml } from './html.js';
import type { SpamInput } from './input.js';
import { checkLinks } from './links.js';
import type { LookalikeFinder } from './lookalike.js';
import { checkMarkup } from './markup.js';
import { hasGtube } from './signatures.js';
import { checkStructure } from './structure.js';
import type { Found, Report, SymbolName } from './symbols.js';
import { checkText } from './text.js';

export interface HeuristicsInput {
  readonly mail: ParsedMail;
  /** Milliseconds since the epoch when the message came in. */
  readonly receivedAt: number;
  /** Forward-paths. */
  readonly recipients: readonly string[];
  readonly lookalikes: LookalikeFinder;
}

export interface HeuristicsResult {
  /** Each symbol once, with the reason of its first find. */
  readonly found: readonly Found[];
  /** Hosts of the web that it links to, in ASCII and lower case, each once. */
  readonly hosts: readonly string[];
}

/** Looks at a message's header, structure, markup, links and text. Asks nobody, and never throws for what a message holds. */
export function runHeuristics({ mail, receivedAt, recipients, lookalikes }: HeuristicsInput): HeuristicsResult {
  const { report, found } = collect();
  const input: SpamInput = { mail, receivedAt, recipients, lookalikes, html: readHtml(mail) };
  if (hasGtube(mail)) report('GTUBE', 'the spam test pattern');
  checkHeaders(input, report);
  checkStructure(input, report);
  checkMarkup(input, report);
  const web = checkLinks(input, report);
  checkText(input, report);
  return { found: found(), hosts: [...new Set(web.map(({ host }) => host))] };
}

/** Keeps the first reason of each symbol. */
export function collect(): { readonly report: Report; readonly found: () => Found[] } {
  const reasons = new Map<SymbolName, string>();
  return {
    report: (symbol, reason) => {
      if (!reasons.has(symbol)) reasons.set(symbol, reason);
    },
    found: () => [...reasons].map(([symbol, reason]) => ({ symbol, reason })),
  };
}
