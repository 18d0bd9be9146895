/** Where a service listens: a TCP address or a Unix socket. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Reads `host:port`, `[::1]:port`, `tcp://host:port`, `unix:/path`, and the `inet:port@host` that milters use.
 * @throws Error that says what an address looks like.
 */
export function parseEndpoint(text: string): Endpoint {
  const path = /^(?:unix|local):(?:\/\/)?(\/.+)$/.exec(text)?.[1] ?? (text.startsWith('/') ? text : undefined);
  if (path) return { path };
  const milter = /^inet6?:(\d{1,5})@(.+)$/.exec(text);
  const [, host, port] = milter ? [text, milter[2], milter[1]] : (/^(?:tcp:\/\/)?(.+):(\d{1,5})$/.exec(text) ?? []);
  if (!host || !port || Number(port) < 1 || Number(port) > 65_535) {
    throw new Error(`"${text}" is no address of a filter; write host:port or unix:/path`);
  }
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
