import { short } from '@waypost/config';
import { siteName } from './site.js';

/** Finds the MX hosts of a domain; rejects where there are none or DNS fails. */
export interface MxSource {
  resolveMx(domain: string): Promise<readonly { readonly name: string }[]>;
}

/** A domain whose name servers were too slow is not waited for again so soon, ms. */
const SLOW_FOR = 30_000;
const REMEMBERED = 10_000;

/** Finds which site a domain's mail belongs to, without letting slow name servers hold up who asks. */
export class SiteFinder {
  readonly #slow = new Map<string, number>();

  /** @param patience how long an answer is waited for, ms. */
  constructor(
    private readonly source: MxSource,
    private readonly patience = 500,
  ) {}

  /**
   * @returns the base of the domain's lane, `mx:site`; undefined where DNS has no answer for now, so that the domain is taken
   *   for a site of its own.
   */
  async find(domain: string): Promise<string | undefined> {
    const slowUntil = this.#slow.get(domain) ?? 0;
    if (slowUntil > Date.now()) return undefined;
    const hosts = this.source.resolveMx(domain).catch(() => undefined);
    const found = await within(hosts, this.patience);
    if (found === 'late') {
      if (this.#slow.size >= REMEMBERED) this.#slow.clear();
      this.#slow.set(domain, Date.now() + SLOW_FOR);
      // Once it is here, the next message finds it in the resolver's cache.
      void hosts.then(() => this.#slow.delete(domain));
      return undefined;
    }
    return found && found.length > 0 ? `mx:${short(siteName(found.map(({ name }) => name)))}` : undefined;
  }
}

async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
