import type { MailPart } from '@waypost/mime';
import { type Html, readMarkup } from './html.js';
import type { SpamInput } from './input.js';
import type { Report } from './symbols.js';

/** Looks for what mail has in its markup that no honest writer puts there. */
export function checkMarkup({ html }: SpamInput, report: Report): void {
  const { elements, hidden, images, links, text } = html;
  const shown = text.trim().length;
  if (hidden > 100 && hidden > shown / 4) report('HTML_HIDDEN_TEXT', `${hidden} characters that are not shown`);
  if (images > 0 && links.length > 0 && shown < 200)
    report('HTML_IMAGE_ONLY', `${images} pictures and ${shown} characters`);
  if (html.password) report('HTML_PASSWORD', 'a field for a password');
  else if (elements.has('form')) report('HTML_FORM', 'a form');
  if (elements.has('script')) report('HTML_SCRIPT', 'a script');
  const frame = ['iframe', 'frame', 'object', 'embed', 'applet'].find((name) => elements.has(name));
  if (frame) report('HTML_FRAME', `<${frame}>`);
  if (html.refresh) report('HTML_REFRESH', 'a refresh to another page');
  if (elements.has('base')) report('HTML_BASE', '<base>');
  if (html.split > 3) report('HTML_SPLIT_WORDS', `${html.split} words split by markup without effect`);
  if (html.unknown > 5) report('HTML_UNBALANCED', `${html.unknown} unknown elements`);
}

const PAGE = 131_072;

/** @returns the markup of a part that is a page to be opened, undefined for other parts. */
export function pageIn(part: MailPart): Html | undefined {
  const named = part.filenames.some((name) => /\.(?:s?html?|xht(?:ml)?|svg)$/i.test(name.trim()));
  const typed = part.type === 'text/html' || part.type === 'application/xhtml+xml' || part.type === 'image/svg+xml';
  if (!named && !typed) return undefined;
  return readMarkup(part.text().slice(0, PAGE));
}
