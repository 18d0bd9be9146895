import type { TLSSocket } from 'node:tls';
import type { ProxiedWay } from './proxy.js';

export type TlsMode = 'none' | 'opportunistic' | 'required' | 'verify';

/** How long each phase may take, ms (RFC 5321 §4.5.3.2 gives minutes). */
export interface ClientTimeouts {
  readonly connect: number;
  readonly greeting: number;
  readonly command: number;
  readonly data: number;
  readonly final_dot: number;
}

/** One host to connect to. */
export interface Hop {
  /** Address, or a socket's path where `unix`. */
  readonly address: string;
  readonly port: number;
  readonly unix?: boolean;
  /** Name for SNI, verification and diagnostics. */
  readonly host: string;
  readonly tls: TlsMode;
  /** Looks at the server once TLS stands, before anything is said that is not for all ears. @returns what is wrong. */
  readonly authenticate?: ((socket: TLSSocket) => Error | undefined) | undefined;
  /** TLS from the first octet. */
  readonly implicit?: boolean;
  readonly lmtp?: boolean;
  readonly ehlo: string;
  readonly localAddress?: string | undefined;
  /** The proxy to connect through, in place of a local address. */
  readonly via?: ProxiedWay | undefined;
  readonly auth?: { readonly user: string; readonly password: string } | undefined;
  readonly timeouts: ClientTimeouts;
}
