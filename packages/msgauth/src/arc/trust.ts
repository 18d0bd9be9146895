import { toName } from '../names.js';
import { withoutComments } from '../structured.js';
import type { ArcFinding, ArcSealer } from './check.js';

/**
 * Whether those who passed a message on and are trusted vouch for it: from the newest hop back, all trusted, to one that saw
 * DMARC pass (RFC 8617 §7.2.1). A hop that is not trusted could have made up everything before it.
 * @param trusted sealing domains in lower case.
 * @param author the author domain; what a hop saw of another one is no word on this.
 * @returns the hop that saw it pass, or undefined.
 */
export function vouchedBy(
  { result, sealers }: ArcFinding,
  trusted: ReadonlySet<string>,
  author: string,
): ArcSealer | undefined {
  if (result !== 'pass') return undefined;
  for (const sealer of sealers.toReversed()) {
    if (!trusted.has(sealer.domain)) return undefined;
    if (sawPass(sealer.results, author)) return sealer;
  }
  return undefined;
}

const DMARC_PASS = /^\s*dmarc\s*(?:\/\s*1\s*)?=\s*pass(?=\s|$)/i;
const FROM = /\sheader\.from\s*=\s*(\S+)/i;
/** Characters of the field that are read. */
const MOST = 16_384;

function sawPass(results: string, author: string): boolean {
  return withoutComments(results.slice(0, MOST))
    .split(';')
    .some((entry) => {
      if (!DMARC_PASS.test(entry)) return false;
      const from = FROM.exec(entry)?.[1];
      return from === undefined || toName(from.slice(from.lastIndexOf('@') + 1)) === author;
    });
}
