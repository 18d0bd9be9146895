import type { FoundSymbol, StoredFindings } from '@waypost/mail';

export type { FoundSymbol } from '@waypost/mail';

/** The results of authentication that rules, scores and sealing look at. */
export interface AuthResults {
  readonly spf?: { readonly result: string; readonly domain?: string | undefined };
  readonly dkim?: readonly { readonly result: string; readonly domain?: string | undefined }[];
  readonly dmarc?: {
    readonly result: string;
    readonly domain?: string | undefined;
    readonly policy?: string | undefined;
  };
  /** `instance` is the highest there is; 0 where the message has no chain. */
  readonly arc?: { readonly result: string; readonly instance?: number };
  /** All of it as the value of an Authentication-Results field, folded. */
  readonly header?: string;
}

/** One part of a message that is an attachment. */
export interface AttachmentFact {
  readonly filename?: string;
  readonly type: string;
  /** Octets, decoded. */
  readonly size: number;
}

/** What checks found out about a message. `auth` and `attachments` are set by the checks that look for them. */
export interface Findings {
  readonly symbols: readonly FoundSymbol[];
  /** Sum of the symbols' scores. */
  readonly score: number;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
  auth?: AuthResults;
  attachments?: readonly AttachmentFact[];
}

/** Symbols and tags of one message; what comes after is not kept. */
const MOST = 256;
const REASON = 300;

/** Collects what the checks of one message find. */
export class Collected implements Findings {
  readonly symbols: FoundSymbol[] = [];
  readonly tags: { readonly name: string; readonly value: string }[];
  score = 0;
  declare auth?: AuthResults;
  declare attachments?: readonly AttachmentFact[];

  /** @param tags that it has already. */
  constructor(tags: Findings['tags'] = []) {
    this.tags = [...tags];
  }

  /** @returns what was found before, to go on with. */
  static from({ symbols, tags, facts }: StoredFindings): Collected {
    const found = Object.assign(new Collected(tags), facts);
    for (const symbol of symbols) found.add(symbol);
    return found;
  }

  /** @returns all of it in a form that can be stored. */
  stored(): StoredFindings {
    const { symbols, tags, score: _, ...facts } = this;
    return { symbols, tags, facts };
  }

  /** A symbol counts once: found again, the higher score stands. */
  add(symbol: FoundSymbol): void {
    if (!Number.isFinite(symbol.score)) return;
    const at = this.symbols.findIndex(({ name }) => name === symbol.name);
    const before = this.symbols[at];
    if (before && Math.abs(before.score) >= Math.abs(symbol.score)) return;
    if (!before && this.symbols.length >= MOST) return;
    const one = { ...symbol, reason: symbol.reason.slice(0, REASON) };
    if (before) this.symbols[at] = one;
    else this.symbols.push(one);
    this.score = this.symbols.reduce((sum, { score }) => sum + score, 0);
  }

  tag(name: string, value: string): void {
    const known = this.tags.some((tag) => tag.name === name && tag.value === value);
    if (!known && this.tags.length < MOST) this.tags.push({ name, value });
  }
}
