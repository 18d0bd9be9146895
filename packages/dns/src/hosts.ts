/** One mail exchanger of a domain. */
export interface MxHost {
  /** In lower case, as A-labels; of an address-literal domain the literal itself. */
  readonly name: string;
  /** Lower comes first. */
  readonly preference: number;
  /** The domain has no MX records and stands for itself (RFC 5321 §5.1). */
  readonly implicit: boolean;
  /** DNSSEC vouches for its being a mail exchanger of the domain. */
  readonly secure?: boolean;
}

export interface HostAddress {
  readonly address: string;
  readonly family: 4 | 6;
  /** DNSSEC vouches for it. */
  readonly secure?: boolean;
}

/** One address to try. */
export interface Candidate extends MxHost, Omit<HostAddress, 'secure'> {
  /** DNSSEC vouches for the host's addresses. */
  readonly secureAddress: boolean;
}
