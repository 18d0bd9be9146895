import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@waypost/testkit';
import { listening } from '../peers.js';
import type { Target } from './target.js';

/**
 * Starts a Postfix of the benchmark's own beside any other: Debian's settings and services without chroot, its queue in a
 * folder of the benchmark, everything relayed to the sink.
 */
export async function startPostfix(postfix: string, dir: string, sinkPort: number): Promise<Target> {
  const [config, queue, data] = ['conf', 'queue', 'data'].map((name) => join(dir, name)) as [string, string, string];
  for (const folder of [config, queue, data]) mkdirSync(folder, { recursive: true });
  const port = await freePort();
  writeFileSync(
    join(config, 'main.cf'),
    [
      'compatibility_level = 3.6',
      `queue_directory = ${queue}`,
      `data_directory = ${data}`,
      'myhostname = postfix.bench.example',
      'mydestination =',
      'alias_maps =',
      'inet_interfaces = 127.0.0.1',
      'inet_protocols = ipv4',
      'mynetworks = 127.0.0.0/8',
      `relayhost = [127.0.0.1]:${sinkPort}`,
      'smtpd_relay_restrictions = permit_mynetworks, reject',
      // No limits that would hold back a load from one address.
      'smtpd_client_connection_count_limit = 0',
      '',
    ].join('\n'),
  );
  const master = readFileSync('/etc/postfix/master.cf', 'utf8')
    .split('\n')
    .map((line) => line.replace(/^(\S+\s+(?:inet|unix|unix-dgram|fifo|pass)\s+\S+\s+\S+\s+)y(\s)/, '$1n$2'))
    .map((line) => (/^smtp\s+inet/.test(line) ? line.replace(/^smtp\s/, `127.0.0.1:${port} `) : line));
  writeFileSync(join(config, 'master.cf'), master.join('\n'));
  const { uid, gid } = owner();
  execFileSync('chown', [`${uid}:${gid}`, data]);
  execFileSync(postfix, ['-c', config, 'start'], { stdio: ['ignore', 'ignore', 'pipe'] });
  await listening(port);
  const pid = Number(readFileSync(join(queue, 'pid/master.pid'), 'latin1').trim());
  return {
    name: 'Postfix',
    port,
    pids: [pid],
    stop: async () => {
      execFileSync(postfix, ['-c', config, 'stop'], { stdio: 'ignore' });
    },
  };
}

function owner(): { uid: string; gid: string } {
  const [, , uid = '0', gid = '0'] = /^postfix:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[0].split(':') ?? [];
  return { uid, gid };
}
