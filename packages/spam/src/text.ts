import type { SpamInput } from './input.js';
import type { Report } from './symbols.js';

/** Characters of the text that are read for phrases. */
const LONGEST = 32_768;

const FEE =
  /\b(?:next of kin|(?:million|thousand) (?:united states |us |u\.s\.? )?dollars|us\$\s?\d|\$\s?\d[\d.,]{2,} ?(?:million|m\b|usd)|usd ?\d|foreign (?:account|partner|contract)|transfer (?:of )?(?:the|this|these|said) (?:sum|money|funds?)|strictly confidential|utmost (?:confidence|secrecy|confidentiality)|late (?:father|husband|president|general|head of state)|bank of (?:nigeria|africa)|(?:nigeria|lagos|abidjan|togo|sierra leone|ivory coast|burkina)|security company|beneficiary|(?:dear|hello) (?:friend|sir\/madam|sir,? ?madam|beloved)|your (?:assistance|co-?operation)|inheritance|i am (?:mr|mrs|dr|barrister|prince|miss)\b|risk[ -]free|percent(?:age)? of the (?:total|sum|money)|lottery|winning (?:number|ticket)|claims? agent)/gi;
const EXCUSES =
  /\b(?:this (?:message|email|e-mail) is (?:not spam|sent in compliance|never sent unsolicited)|(?:section|sec\.?) 301|s\.? ?1618|bill s|you (?:are|were) receiving this (?:e-?mail|message)? ?because you|one[- ]time (?:mailing|e-?mail|message)|to be removed|remove me|removed? from (?:our|this|future|the) (?:mailing|list|e-?mail)|(?:reply|e-?mail) with "?(?:remove|unsubscribe)|opt(?:ed)?[- ](?:in|out)\b|if you (?:no longer )?(?:wish|want|would like) (?:to|not to) (?:receive|be removed))/gi;
const OFFERS =
  /\b(?:viagra|cialis|levitra|xanax|valium|v[i1]agra|human growth hormone|weight loss|lose weight|enlarge(?:ment)?|work (?:from|at) home|home[- ]based business|make money|extra income|financial(?:ly)? (?:free|independen)\w*|no (?:obligation|credit check|experience)|free (?:trial|quote|gift|sample|membership|cell phone|access|money)|(?:100%|absolutely|totally|completely) free|money[- ]back guarantee|mortgage rate|low(?:est)? (?:interest )?rates|refinanc\w+|debt (?:free|consolidation)|consolidate your|credit (?:card )?debt|casino|click here|act now|limited time|order (?:now|today)|risk free|guaranteed|multi[- ]level|bulk e-?mail|million e-?mail addresses|adult|xxx|porn\w*|hot (?:girls|teens|stock)|university diploma|online pharmacy|prescription|replica watch\w*|toner|investment opportunity|stock alert|toll[- ]free)\b/gi;
const MONEY = /(?:\$|€|£|usd ?|us\$)\s?\d[\d,.]*/gi;

/** Looks for phrases of kinds of mail that nobody asked for; each kind by several phrases, as one proves nothing. */
export function checkText({ mail, html }: SpamInput, report: Report): void {
  const text = `${mail.subject}\n${mail.plainText().slice(0, LONGEST)}\n${html.text.slice(0, LONGEST)}`.replace(
    /\s+/g,
    ' ',
  );
  const fee = kinds(text, FEE);
  if (fee.length >= 4) report('TEXT_ADVANCE_FEE', fee.slice(0, 4).join(', '));
  const excuses = kinds(text, EXCUSES);
  if (excuses.length >= 2) report('TEXT_BULK_EXCUSE', excuses.slice(0, 3).join(', '));
  const offers = kinds(text, OFFERS);
  if (offers.length >= 3) report('TEXT_OFFER', offers.slice(0, 4).join(', '));
  const sums = kinds(text, MONEY);
  if (sums.length >= 6) report('TEXT_MONEY_MANY', `${sums.length} sums`);
}

const MOST = 20;

/** @returns the different finds of a pattern, a few at most. */
function kinds(text: string, pattern: RegExp): string[] {
  const found = new Set<string>();
  for (const [phrase] of text.matchAll(pattern)) {
    found.add(phrase.toLowerCase());
    if (found.size >= MOST) break;
  }
  return [...found];
}
