import type { ParsedMail } from '@waypost/mime';
import { Parser } from 'htmlparser2';

/** A link, and the text that is shown for it. */
export interface Link {
  /** As written, blanks at its ends taken off. */
  readonly href: string;
  readonly text: string;
}

/** What the markup of a message has in it. */
export interface Html {
  readonly links: readonly Link[];
  /** Text that is shown. */
  readonly text: string;
  /** Characters that are not: in elements that are hidden, tiny, or of the colour of their ground. */
  readonly hidden: number;
  readonly images: number;
  readonly elements: ReadonlySet<string>;
  /** Elements that HTML does not have. */
  readonly unknown: number;
  /** Words that markup without effect splits. */
  readonly split: number;
  readonly password: boolean;
  readonly formAction: string | undefined;
  readonly refresh: boolean;
}

/** Octets of markup that are read, and links that are kept. */
const LONGEST = 262_144;
const MOST_LINKS = 500;
const LINK_TEXT = 500;

const HIDING =
  /display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*(?:0|1|0?\.\d+)(?:px|pt|em|%)?\s*(?:;|$|!)|opacity\s*:\s*0(?:\.0\d*)?\s*(?:;|$|!)|(?:text-indent|left|top)\s*:\s*-\d{3,}|(?:max-)?(?:height|width)\s*:\s*0(?:px)?\s*(?:;|$|!)/i;
const KNOWN = new Set(
  (
    'a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br button ' +
    'canvas caption center cite code col colgroup data dd del details dfn dir div dl dt em embed fieldset figcaption figure font ' +
    'footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins isindex kbd label legend li link ' +
    'main map mark marquee menu meta nav nobr noframes noscript object ol optgroup option p param picture pre q s samp script ' +
    'section select small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead ' +
    'time title tr track tt u ul var video wbr xml path g rect circle'
  ).split(' '),
);
const VOID = new Set(
  'area base br col embed hr img input link meta param source track wbr basefont bgsound frame isindex'.split(' '),
);
const INLINE = new Set('a b i u s em strong span font big small tt code sub sup strike ins del mark abbr'.split(' '));

/** Reads the HTML parts of a message, as much of them as is looked at. */
export function readHtml(mail: ParsedMail): Html {
  return readMarkup(mail.htmlText().slice(0, LONGEST));
}

/** Collects what heuristics ask of markup, in one pass; never throws. */
export function readMarkup(markup: string): Html {
  const state = new Reader();
  if (markup === '') return state;
  const handler = {
    onopentag: (name: string, attributes: Record<string, string>) => state.open(name, attributes),
    ontext: (text: string) => state.said(text),
    onclosetag: (name: string) => state.close(name),
    oncomment: () => state.mark(),
  };
  let parser = new Parser(handler, { decodeEntities: true });
  for (const piece of pieces(markup)) {
    // The parser looks through all open elements at each that closes: so many are closed here, and it begins anew.
    if (state.depth > DEEPEST) {
      parser.end();
      parser = new Parser(handler, { decodeEntities: true });
    }
    parser.write(piece);
  }
  parser.end();
  return state;
}

/** Elements open at a time; browsers flatten what is deeper than half of it. */
const DEEPEST = 1_000;
const PIECE = 4_096;

/** Markup in pieces that end before a tag. */
function* pieces(markup: string): Generator<string> {
  for (let at = 0; at < markup.length; ) {
    const tag = markup.indexOf('<', at + PIECE);
    const end = tag < 0 ? markup.length : tag;
    yield markup.slice(at, end);
    at = end;
  }
}

class Reader implements Html {
  readonly links: Link[] = [];
  text = '';
  hidden = 0;
  images = 0;
  readonly elements = new Set<string>();
  unknown = 0;
  split = 0;
  password = false;
  formAction: string | undefined;
  refresh = false;
  /** How many of the open elements hide what is in them, and where each hiding began. */
  readonly #open: { readonly name: string; readonly hides: boolean }[] = [];
  #hiding = 0;
  #link: { href: string; text: string } | undefined;
  /** Something without effect came after the last text. */
  #marked = false;

  get depth(): number {
    return this.#open.length;
  }

  open(name: string, attributes: Record<string, string>): void {
    this.elements.add(name);
    if (!KNOWN.has(name) && !name.includes(':') && !name.includes('-')) {
      this.unknown += 1;
      this.mark();
    } else if (!INLINE.has(name)) this.#marked = false;
    const hides = name === 'style' || name === 'script' || name === 'title' || isHidden(attributes);
    if (!VOID.has(name)) {
      this.#open.push({ name, hides });
      if (hides) this.#hiding += 1;
    }
    if (name === 'img') this.images += 1;
    else if (name === 'a' || name === 'area') this.#openLink(attributes.href);
    else if (name === 'input' && /^password$/i.test(attributes.type ?? '')) this.password = true;
    else if (name === 'form') this.formAction ??= attributes.action ?? '';
    else if (name === 'meta' && /^refresh$/i.test(attributes['http-equiv'] ?? ''))
      this.refresh ||= /url/i.test(attributes.content ?? '');
  }

  said(text: string): void {
    if (this.#hiding > 0) {
      const inner = this.#open.at(-1)?.name;
      if (inner !== 'style' && inner !== 'script' && inner !== 'title') this.hidden += text.trim().length;
      return;
    }
    if (this.#marked && /^\p{Ll}/u.test(text) && /\p{L}$/u.test(this.text.slice(-2))) this.split += 1;
    this.#marked = false;
    this.text += text;
    if (this.#link && this.#link.text.length < LINK_TEXT) this.#link.text += text;
  }

  close(name: string): void {
    if (!VOID.has(name)) {
      const closed = this.#open.pop();
      if (closed?.hides) this.#hiding -= 1;
    }
    if (name === 'a') this.#closeLink();
    if (!INLINE.has(name) && KNOWN.has(name)) this.text += ' ';
  }

  mark(): void {
    this.#marked = true;
  }

  #openLink(href: string | undefined): void {
    this.#closeLink();
    if (href !== undefined) this.#link = { href: href.trim(), text: '' };
  }

  #closeLink(): void {
    if (this.#link && this.links.length < MOST_LINKS) this.links.push(this.#link);
    this.#link = undefined;
  }
}

function isHidden({ style, hidden, color, size }: Record<string, string>): boolean {
  if (hidden !== undefined) return true;
  if (style !== undefined && HIDING.test(style)) return true;
  return (
    size === '0' || (color !== undefined && /^#?f{6}$|^white$/i.test(color.trim()) && !style?.includes('background'))
  );
}
