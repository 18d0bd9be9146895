import { Parser } from 'htmlparser2';

/** What a person would see of an HTML part, and how it is made. */
export interface Markup {
  /** Visible text, alternative texts of pictures included. */
  readonly text: string;
  /** Targets of links, as written. */
  readonly links: readonly string[];
  /** Characters of text that is there and not shown. */
  readonly hidden: number;
  readonly images: number;
  /** Pictures of one pixel or none, which only tell that the mail was opened. */
  readonly beacons: number;
  /** A link whose text is another site's address. */
  readonly disguised: boolean;
  readonly form: boolean;
  readonly script: boolean;
  /** Elements and attributes used, without repeats: `table`, `table border`, `font color=red`. */
  readonly traits: readonly string[];
}

/** Elements that end a line. */
const BLOCKS = new Set(
  'address article aside blockquote br center dd div dl dt fieldset form h1 h2 h3 h4 h5 h6 hr li ol p pre section table td th tr ul'.split(
    ' ',
  ),
);
const UNSHOWN = new Set(['style', 'script', 'title', 'head', 'noscript', 'template']);
const EMPTY = new Set(['area', 'base', 'br', 'col', 'hr', 'img', 'input', 'link', 'meta', 'wbr', 'param', 'embed']);
const HIDING =
  /display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*[01](?:px|pt|em|%|\s*[;"]|$)|opacity\s*:\s*0(?:[;"\s]|$)|max-height\s*:\s*0/i;
/** Attributes whose values say how a page looks. */
const SPOKEN = new Set(['color', 'bgcolor', 'size', 'face', 'align', 'type', 'method', 'border', 'width', 'content']);
const MOST_TRAITS = 300;
const MOST_LINKS = 200;
/** Open hidden elements looked after; deeper ones are none that anyone wrote. */
const DEEPEST = 1_000;

/**
 * Reads HTML as mail programs show it. Never throws.
 * @param limit characters of visible text at most.
 */
export function readMarkup(html: string, limit: number): Markup {
  const reader = new MarkupReader(limit);
  const parser = new Parser(reader, { decodeEntities: true, lowerCaseTags: true, lowerCaseAttributeNames: true });
  parser.write(html);
  parser.end();
  return reader.result();
}

class MarkupReader {
  #text = '';
  #length = 0;
  #hidden = 0;
  #images = 0;
  #beacons = 0;
  #disguised = false;
  #form = false;
  #script = false;
  readonly #links: string[] = [];
  readonly #traits = new Set<string>();
  /** Names of the open elements from the first hidden one on. */
  readonly #within: string[] = [];
  #anchor: { href: string; from: number } | undefined;

  constructor(private readonly limit: number) {}

  onopentag(name: string, attributes: Record<string, string>): void {
    this.#note(name, attributes);
    if (this.#within.length > 0) {
      if (!EMPTY.has(name) && this.#within.length < DEEPEST) this.#within.push(name);
    } else if (UNSHOWN.has(name) || isHidden(attributes)) {
      if (!EMPTY.has(name)) this.#within.push(name);
    } else if (BLOCKS.has(name)) this.#add('\n');
    if (name === 'a' && attributes.href) this.#openAnchor(attributes.href);
    else if (name === 'area' && attributes.href) this.#link(attributes.href);
    else if (name === 'img') this.#image(attributes);
    else if (name === 'form' || name === 'input') this.#form = true;
    else if (name === 'script') this.#script = true;
  }

  ontext(text: string): void {
    const top = this.#within[0];
    if (top === undefined) this.#add(text);
    else if (!UNSHOWN.has(top)) this.#hidden += text.trim().length;
  }

  onclosetag(name: string): void {
    const at = this.#within.lastIndexOf(name);
    if (at >= 0) this.#within.length = at;
    else if (BLOCKS.has(name)) this.#add('\n');
    if (name === 'a') this.#closeAnchor();
  }

  result(): Markup {
    return {
      text: this.#text,
      links: this.#links,
      hidden: this.#hidden,
      images: this.#images,
      beacons: this.#beacons,
      disguised: this.#disguised,
      form: this.#form,
      script: this.#script,
      traits: [...this.#traits],
    };
  }

  #note(name: string, attributes: Record<string, string>): void {
    if (this.#traits.size >= MOST_TRAITS || name.length > 12) return;
    this.#traits.add(name);
    for (const attribute in attributes) {
      if (attribute.length > 16) continue;
      this.#traits.add(`${name} ${attribute}`);
      const value = attributes[attribute] as string;
      if (SPOKEN.has(attribute) && value.length <= 16) this.#traits.add(`${name} ${attribute}=${value.toLowerCase()}`);
    }
  }

  #add(text: string): void {
    if (this.#length >= this.limit) return;
    this.#text += text;
    this.#length += text.length;
  }

  #link(href: string): void {
    if (this.#links.length < MOST_LINKS) this.#links.push(href.slice(0, 2_000));
  }

  #image({ alt, width, height }: Record<string, string>): void {
    this.#images += 1;
    if (isTiny(width) && isTiny(height)) this.#beacons += 1;
    if (alt && this.#within.length === 0) this.#add(` ${alt} `);
  }

  #openAnchor(href: string): void {
    this.#link(href);
    this.#anchor = { href, from: this.#length };
  }

  #closeAnchor(): void {
    if (!this.#anchor) return;
    const { href, from } = this.#anchor;
    this.#anchor = undefined;
    const shown = hostOf(this.#text.slice(from, from + 200).trim());
    const target = hostOf(href);
    if (shown && target && siteOf(shown) !== siteOf(target)) this.#disguised = true;
  }
}

function isHidden(attributes: Record<string, string>): boolean {
  const { style, hidden } = attributes;
  return hidden !== undefined || (style !== undefined && HIDING.test(style));
}

const isTiny = (size: string | undefined) => size === '0' || size === '1' || size === '1px' || size === '0px';

/** @returns the host of a web address, in lower case; undefined where the text is none. */
export function hostOf(text: string): string | undefined {
  return /^(?:https?:\/\/)(?:[^/?#\s]*@)?([^/?#:\s"'<>]+)/i.exec(text)?.[1]?.toLowerCase();
}

/** The last two labels: not always the registered domain, but alike for both sides of a comparison. */
const siteOf = (host: string) => host.split('.').slice(-2).join('.');
