/** What connections of an egress source go through. */
export interface EgressProxy {
  readonly kind: 'socks5' | 'haproxy';
  readonly host: string;
  readonly port: number;
  readonly login?: { readonly user: string; readonly password: string };
  /** The proxy as it may be told of: without its login. */
  readonly name: string;
}

/** A source's `proxy` that cannot be understood. */
export class ProxyUrlError extends Error {}

/** Octets of a name or password at most (RFC 1929 §2). */
const LOGIN_MOST = 255;

/**
 * Reads a source's `proxy`: `socks5://[user:password@]host:port` or `haproxy://host:port`. Odd characters of the login are
 * percent-encoded.
 * @throws ProxyUrlError that says what is wrong and never holds the login.
 */
export function parseProxy(text: string): EgressProxy {
  const match = /^(socks5|haproxy):\/\/(?:(.*)@)?(\[[0-9a-f:.]+\]|[^\s/:@[\]]+)(?::(\d+))?\/?$/i.exec(text);
  if (!match?.[1] || !match[3]) {
    throw new ProxyUrlError(`"${hidden(text)}" is no proxy; write ${FORMS}`);
  }
  const [, scheme, login, host, digits] = match;
  const kind = scheme.toLowerCase() as EgressProxy['kind'];
  const name = `${kind}://${host.toLowerCase()}${digits ? `:${digits}` : ''}`;
  if (digits === undefined) throw new ProxyUrlError(`"${name}" has no port; write ${FORMS}`);
  const port = Number(digits);
  if (port < 1 || port > 65535) throw new ProxyUrlError(`"${name}" has no port between 1 and 65535`);
  if (login !== undefined && kind === 'haproxy')
    throw new ProxyUrlError(`"${name}" was given a login, but this kind of proxy takes none; leave it out`);
  return {
    kind,
    host: host.toLowerCase().replace(/^\[|\]$/g, ''),
    port,
    name,
    ...(login === undefined ? {} : { login: parseLogin(login, name) }),
  };
}

const FORMS = 'socks5://[user:password@]host:port or haproxy://host:port';

const hidden = (text: string) => text.replace(/\/\/.*@/, '//…@');

function parseLogin(login: string, name: string): { user: string; password: string } {
  const colon = login.indexOf(':');
  const [user, password] = [login.slice(0, colon), login.slice(colon + 1)].map((part) => decoded(part, name));
  const fits = (part: string | undefined) => part !== undefined && part !== '' && Buffer.byteLength(part) <= LOGIN_MOST;
  if (colon < 0 || !fits(user) || !fits(password)) {
    throw new ProxyUrlError(
      `the login of "${name}" is not user:password with 1 to ${LOGIN_MOST} octets each (RFC 1929); write %3A, %40, %2F and %25 for : @ / and % in them`,
    );
  }
  return { user: user as string, password: password as string };
}

function decoded(part: string, name: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ProxyUrlError(`the login of "${name}" holds a % that begins no octet; write %25 for it`);
  }
}
