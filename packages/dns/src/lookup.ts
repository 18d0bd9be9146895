import { Resolver, lookup as systemLookup } from 'node:dns/promises';

export interface AddressRecord {
  readonly address: string;
  /** Seconds. */
  readonly ttl: number;
  /** DNSSEC vouches for it. */
  readonly secure?: boolean;
}

/** A TLSA record (RFC 6698 §2.1). */
export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly certificate: Buffer;
  /** DNSSEC vouches for it. */
  readonly secure: boolean;
  /** Seconds, where it is known. */
  readonly ttl?: number;
}

/**
 * What the resolver asks of DNS. Rejections carry Node's codes: ENOTFOUND (NXDOMAIN), ENODATA (no such record), whether that
 * is `secure`, and for how many seconds (`ttl`) it holds; anything else is taken for temporary. CNAMEs are followed behind this
 * port, as a recursive name server does (RFC 5321 §5.1).
 */
export interface DnsLookup {
  mx(name: string): Promise<
    readonly {
      readonly exchange: string;
      readonly priority: number;
      readonly secure?: boolean;
      readonly ttl?: number;
    }[]
  >;
  a(name: string): Promise<readonly AddressRecord[]>;
  aaaa(name: string): Promise<readonly AddressRecord[]>;
  /** Each record as one text. */
  txt(name: string): Promise<readonly string[]>;
  /** @param name such as `1.2.0.192.in-addr.arpa`. */
  ptr(name: string): Promise<readonly string[]>;
  /** Absent where nothing tells whether answers are validated: DANE is not possible then. */
  tlsa?(name: string): Promise<readonly TlsaRecord[]>;
  /** The system's own way: hosts file, search domains, then DNS; for hosts that an operator names. */
  system(name: string): Promise<readonly { readonly address: string; readonly family: number }[]>;
  cancel(): void;
}

export interface NodeLookupSettings {
  /** `address` or `address:port`; the system's where empty. */
  readonly servers?: readonly string[];
  /** Milliseconds for the first try at one server; each further try takes longer. */
  readonly tryTimeout?: number;
  readonly tries?: number;
}

/** DNS through c-ares, beside the thread pool; the system's lookup takes one of its threads. */
export function createNodeLookup(settings: NodeLookupSettings = {}): DnsLookup {
  const resolver = new Resolver({ timeout: settings.tryTimeout ?? 2_000, tries: settings.tries ?? 3 });
  if (settings.servers?.length) resolver.setServers([...settings.servers]);
  return {
    mx: (name) => resolver.resolveMx(name),
    a: (name) => resolver.resolve4(name, { ttl: true }),
    aaaa: (name) => resolver.resolve6(name, { ttl: true }),
    txt: async (name) => (await resolver.resolveTxt(name)).map((parts) => parts.join('')),
    ptr: (name) => resolver.resolvePtr(name),
    system: (name) => systemLookup(name, { all: true }),
    cancel: () => resolver.cancel(),
  };
}
