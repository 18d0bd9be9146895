import { Resolver } from 'node:dns/promises';

/** What DNS knows of names and addresses. Undefined is no answer for now; an empty list is that there are none. */
export interface NameLookup {
  /** IPv4 addresses of a name, as lists answer by them. */
  listed(name: string): Promise<readonly string[] | undefined>;
  /** Addresses of a name, of both families. */
  addresses(name: string): Promise<readonly string[] | undefined>;
  /** Names of an address. */
  names(address: string): Promise<readonly string[] | undefined>;
}

export interface NameLookupSettings {
  /** `address` or `address:port`; the system's where empty. */
  readonly servers: readonly string[];
  /** Milliseconds for one question. */
  readonly timeout: number;
}

/** Answers kept, and for how long in milliseconds: at least and at most, and where there is nothing. */
const KEPT = 50_000;
const LEAST = 60_000;
const MOST = 3_600_000;
const NONE = 300_000;

interface Kept {
  readonly value: readonly string[];
  readonly until: number;
}

/** Asks DNS, and keeps answers for as long as their records say, within limits. Never rejects. */
export function createNameLookup(settings: NameLookupSettings, now: () => number = Date.now): NameLookup {
  const resolver = new Resolver({ timeout: settings.timeout, tries: 1 });
  if (settings.servers.length > 0) resolver.setServers([...settings.servers]);
  const kept = new Map<string, Kept>();
  const asking = new Map<string, Promise<readonly string[] | undefined>>();

  async function ask(key: string, question: () => Promise<Answer>): Promise<readonly string[] | undefined> {
    const before = kept.get(key);
    if (before && now() < before.until) return before.value;
    const running = asking.get(key);
    if (running) return running;
    const asked = answer(question)
      .then((found) => {
        if (found) keep(key, found);
        return found?.value;
      })
      .finally(() => asking.delete(key));
    asking.set(key, asked);
    return asked;
  }

  async function answer(question: () => Promise<Answer>): Promise<Answer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), settings.timeout);
    });
    const asked = question().catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOTFOUND' || error.code === 'ENODATA' ? { value: [], ttl: NONE } : undefined,
    );
    return Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }

  function keep(key: string, { value, ttl }: Answer): void {
    kept.delete(key);
    kept.set(key, { value, until: now() + Math.min(MOST, Math.max(LEAST, ttl)) });
    for (const oldest of kept.keys()) {
      if (kept.size <= KEPT) break;
      kept.delete(oldest);
    }
  }

  const four = async (name: string) => {
    const records = await resolver.resolve4(name, { ttl: true });
    return { value: records.map(({ address }) => address), ttl: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
  };
  return {
    listed: (name) => ask(`a ${name}`, () => four(name)),
    addresses: async (name) => {
      const [v4, v6] = await Promise.all([
        ask(`a ${name}`, () => four(name)),
        ask(`aaaa ${name}`, async () => ({ value: await resolver.resolve6(name), ttl: NONE })),
      ]);
      if (v4?.length || v6?.length) return [...(v4 ?? []), ...(v6 ?? [])];
      return v4 && v6 ? [] : undefined;
    },
    names: (address) => ask(`ptr ${address}`, async () => ({ value: await resolver.reverse(address), ttl: NONE })),
  };
}

interface Answer {
  readonly value: readonly string[];
  /** Milliseconds. */
  readonly ttl: number;
}
