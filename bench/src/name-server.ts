// A name server in a process of its own, so that a busy load generator does not make it slow: `node name-server.js <suffix> <address> <others…>`.
import { aRecord, DnsServer, mxRecord } from '@waypost/testkit';

const [suffix = '', address = '', ...others] = process.argv.slice(2);

const hash = (text: string) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
const other = (name: string) => others[hash(name) % others.length] ?? '';

// Each domain has an MX host, and so a site, of its own.
const server = await DnsServer.start((name, type) => {
  if (type === 'MX') return [mxRecord(name, 10, `mx.${name}`)];
  if (type === 'A') return [aRecord(name, name.endsWith(suffix) ? address : other(name))];
  return [];
});
process.stdout.write(`${server.address}\n`);
