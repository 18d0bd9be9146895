import { isIPv4, isIPv6 } from 'node:net';

import type { NameLookup } from './lookup.js';
import type { Report } from './symbols.js';

/** What is known of the host that handed the message over. */
export interface Client {
  readonly address: string;
  readonly helo?: string;
  /** The name we go by. */
  readonly hostname: string;
}

/** Looks at the name that the client gave itself (RFC 5321 §4.1.1.1), and at the names its address has. */
export async function checkClient(client: Client, lookup: NameLookup | undefined, report: Report): Promise<void> {
  const helo = checkHelo(client, report);
  if (!lookup) return;
  await Promise.all([checkHeloName(helo, lookup, report), checkNames(client.address, lookup, report)]);
}

/** Top-level names that are on no network (RFC 2606, RFC 6761, RFC 8375 and usage). */
const LOCAL = /(?:^|\.)(?:localhost|localdomain|local|lan|home|internal|invalid|example|home\.arpa|corp|intranet)$/;

/** @returns a name that could be looked up. */
function checkHelo({ address, helo = '', hostname }: Client, report: Report): string | undefined {
  const name = helo.trim().toLowerCase().replace(/\.$/, '');
  if (name === '') return void report('HELO_MISSING', 'no name was given');
  if (name.startsWith('[')) {
    const literal = name.replace(/^\[(?:ipv6:)?|\]$/g, '');
    if (literal !== address.toLowerCase()) report('HELO_LITERAL_MISMATCH', `${name.slice(0, 60)} is not ${address}`);
    return undefined;
  }
  if (isIPv4(name) || isIPv6(name)) return void report('HELO_ADDRESS', name);
  if (name === hostname.toLowerCase()) return void report('HELO_IS_US', name);
  if (LOCAL.test(name)) return void report('HELO_LOCAL', name.slice(0, 80));
  if (!name.includes('.')) return void report('HELO_BARE_NAME', name.slice(0, 80));
  return /^[a-z0-9_.-]{1,253}$/.test(name) ? name : undefined;
}

async function checkHeloName(name: string | undefined, lookup: NameLookup, report: Report): Promise<void> {
  if (!name) return;
  const addresses = await lookup.addresses(name);
  if (addresses?.length === 0) report('HELO_UNRESOLVED', `${name} has no address`);
}

/** Names looked at of an address with many. */
const MOST = 5;

async function checkNames(address: string, lookup: NameLookup, report: Report): Promise<void> {
  const names = await lookup.names(address);
  // No answer says nothing.
  if (!names) return;
  if (names.length === 0) return report('RDNS_MISSING', `${address} has no name`);
  const [first = ''] = names;
  if (isGeneric(first, address)) report('RDNS_GENERIC', first.slice(0, 120));
  const back = await Promise.all(names.slice(0, MOST).map((name) => lookup.addresses(name)));
  if (back.some((addresses) => addresses === undefined)) return;
  if (!back.some((addresses) => addresses?.includes(address))) {
    report('RDNS_UNCONFIRMED', `${first.slice(0, 120)} is not ${address}`);
  }
}

const GENERIC =
  /(?:^|[.-])(?:dyn(?:amic)?|dial(?:up)?|dhcp|pool|ppp|adsl|dsl|xdsl|cable|broadband|customer|cust|client|user|host|res|residential|mobile|nat|ip)[.\d-]/;

/** @returns whether a name is made of its address, as providers name their customers' lines. */
function isGeneric(name: string, address: string): boolean {
  const lower = name.toLowerCase();
  if (!isIPv4(address)) return GENERIC.test(lower);
  const parts = address.split('.');
  const joined = lower
    .replace(/[^\d]+/g, '.')
    .split('.')
    .map((part) => part.replace(/^0+(?=\d)/, ''));
  const has = (list: readonly string[]) => `.${joined.join('.')}.`.includes(`.${list.join('.')}.`);
  const bare = lower.includes(parts.map((part) => part.padStart(3, '0')).join(''));
  const numbers =
    bare || has(parts) || has([...parts].reverse()) || has(parts.slice(2)) || has(parts.slice(2).reverse());
  return numbers && (GENERIC.test(lower) || bare || has(parts) || has([...parts].reverse()));
}
