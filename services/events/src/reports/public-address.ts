import { BlockList, isIPv4 } from 'node:net';

/** Special-purpose IPv4 networks (IANA's registry by RFC 6890), multicast and what is reserved. */
const V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
];
/** Of what is global unicast (2000::/3), the part that is not for hosts: protocols, tunnels, documentation. */
const V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const closed = new BlockList();
const global = new BlockList();
for (const network of V4) add(closed, network, 'ipv4');
for (const network of V6) add(closed, network, 'ipv6');
add(global, '2000::/3', 'ipv6');

function add(list: BlockList, network: string, family: 'ipv4' | 'ipv6'): void {
  const [address = '', prefix] = network.split('/');
  list.addSubnet(address, Number(prefix), family);
}

/** @returns whether an IP address is one of a host on the internet: not our own networks, nor a way back into them. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !closed.check(address, 'ipv4');
  return global.check(address, 'ipv6') && !closed.check(address, 'ipv6');
}
