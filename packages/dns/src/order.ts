import type { HostAddress, MxHost } from './hosts.js';

/** Sorts by preference; hosts of equal preference come in random order (RFC 5321 §5.1). */
export function orderHosts(hosts: readonly MxHost[], random: () => number): MxHost[] {
  return shuffle(hosts, random).sort((a, b) => a.preference - b.preference);
}

/** Leaves out ourselves and every host that is not better than us, so that mail moves on or stops (RFC 5321 §5.1). */
export function withoutSelf(hosts: readonly MxHost[], isSelf: (host: string) => boolean): readonly MxHost[] {
  const ours = hosts.filter((host) => isSelf(host.name)).map((host) => host.preference);
  if (ours.length === 0) return hosts;
  const limit = Math.min(...ours);
  return hosts.filter((host) => host.preference < limit);
}

/** Addresses of the families used, both alternating, so that one broken family costs one try and not all. */
export function orderAddresses(
  addresses: readonly HostAddress[],
  family: 'any' | 'ipv4' | 'ipv6',
  prefer: 4 | 6,
): HostAddress[] {
  const first = addresses.filter((one) => one.family === prefer);
  const second = addresses.filter((one) => one.family !== prefer);
  const ordered = Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((one) => one !== undefined);
  return family === 'any' ? ordered : ordered.filter((one) => one.family === (family === 'ipv4' ? 4 : 6));
}

/** @returns the items in random order. */
export function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
