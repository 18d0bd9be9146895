// A name server in a process of its own, so that a busy load generator does not make it slow: `node name-server.js <suffix> <address> <other>`.
import { aRecord, DnsServer, mxRecord } from '@waypost/testkit';

const [suffix = '', address = '', other = ''] = process.argv.slice(2);

// Each domain has an MX host, and so a site, of its own.
const server = await DnsServer.start((name, type) => {
  if (type === 'MX') return [mxRecord(name, 10, `mx.${name}`)];
  if (type === 'A') return [aRecord(name, name.endsWith(suffix) ? address : other)];
  return [];
});
process.stdout.write(`${server.address}\n`);
