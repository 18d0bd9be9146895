import { getServers, lookup as systemLookup } from 'node:dns/promises';
import type { Answer, RecordType } from 'dns-packet';
import type { AddressRecord, DnsLookup, NodeLookupSettings } from './lookup.js';
import { type DnsReply, type NameServer, query } from './query.js';

/**
 * DNS by way of a name server that validates DNSSEC and is reached over a path that can be trusted: each record tells
 * whether the server vouches for it. c-ares, which Node asks by, does not tell.
 */
export function createValidatedLookup(settings: NodeLookupSettings = {}): DnsLookup {
  const { tryTimeout = 2_000, tries = 3 } = settings;
  const named = settings.servers?.length ? settings.servers : undefined;
  const ask = async (name: string, type: RecordType): Promise<DnsReply> => {
    const servers = (named ?? getServers()).map(toServer);
    let failure: unknown = codeError('ESERVFAIL', name);
    for (let round = 0; round < tries; round += 1) {
      for (const server of servers) {
        try {
          const reply = await query(server, name, type, tryTimeout * 2 ** round);
          if (reply.code === 'NOERROR' || reply.code === 'NXDOMAIN') return reply;
          failure = codeError(`E${reply.code}`, name);
        } catch (error) {
          failure = error;
        }
      }
    }
    throw failure;
  };
  const records = async <T>(
    name: string,
    type: RecordType,
    read: (answer: Answer, secure: boolean) => T,
  ): Promise<T[]> => {
    const { code, answers, secure, negativeTtl: ttl } = await ask(name, type);
    const found = answers.filter((answer) => answer.type === type).map((answer) => read(answer, secure));
    if (found.length > 0) return found;
    throw Object.assign(codeError(code === 'NXDOMAIN' ? 'ENOTFOUND' : 'ENODATA', name), { secure, ttl });
  };
  const address = (answer: Answer, secure: boolean): AddressRecord => {
    const { data, ttl } = answer as { readonly data: string; readonly ttl?: number };
    return { address: data, ttl: ttl ?? 0, secure };
  };
  return {
    mx: (name) =>
      records(name, 'MX', (answer, secure) => {
        const { data } = answer as { readonly data: { readonly preference?: number; readonly exchange: string } };
        return { exchange: data.exchange, priority: data.preference ?? 0, secure, ...ttlOf(answer) };
      }),
    a: (name) => records(name, 'A', address),
    aaaa: (name) => records(name, 'AAAA', address),
    txt: (name) => records(name, 'TXT', (answer) => textOf((answer as { readonly data: unknown }).data)),
    ptr: (name) => records(name, 'PTR', (answer) => String((answer as { readonly data: unknown }).data)),
    tlsa: (name) =>
      records(name, 'TLSA', (answer, secure) => {
        const { data } = answer as {
          readonly data: { usage: number; selector: number; matchingType: number; certificate: Buffer };
        };
        return { ...data, secure, ...ttlOf(answer) };
      }),
    system: (name) => systemLookup(name, { all: true }),
    cancel: () => undefined,
  };
}

const ttlOf = (answer: Answer) => {
  const { ttl } = answer as { readonly ttl?: number };
  return ttl === undefined ? {} : { ttl };
};

/** The strings of a TXT record are one text (RFC 7208 §3.3; RFC 8461 §3.1 says the same). */
function textOf(data: unknown): string {
  const parts = Array.isArray(data) ? (data as (Buffer | string)[]) : [data as Buffer | string];
  return parts.map((part) => part.toString()).join('');
}

function toServer(text: string): NameServer {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  return match ? { address: match[1] ?? match[2] ?? '', port: Number(match[3]) } : { address: text, port: 53 };
}

const codeError = (code: string, name: string) => Object.assign(new Error(`${code} ${name}`), { code });
