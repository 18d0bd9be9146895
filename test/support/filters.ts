import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, find, freePort, waitFor } from '@waypost/testkit';

/** A real filter in a process of its own, on loopback, with a configuration of the test's own. */
export interface FilterProcess {
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  /** Ends it without warning (SIGKILL), its children too. */
  kill(): Promise<void>;
  /** Stops it where it stands: it takes connections still, and answers none. */
  freeze(): void;
  thaw(): void;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Put together here, so that no scanner takes this file for the test signature. */
export const GTUBE = ['XJS*C4JDBQADN1.NSBN3*2IDNEN*', 'GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL', '*C.34X'].join('');
export const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE', '!$H+H*'].join('');

interface Started {
  readonly program: string;
  readonly args: readonly string[];
  readonly address: string;
  readonly dir: string;
  /** Milliseconds until it must answer. */
  readonly patience?: number;
}

async function supervise({ program, args, address, dir, patience = 40_000 }: Started): Promise<FilterProcess> {
  let child: ChildProcess;
  let output = '';
  const start = async () => {
    const path = find(program);
    if (!path) throw new Error(`${program} is not installed`);
    // A process group of its own: these programs fork, and their children outlive a killed parent.
    child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, cwd: dir });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        output = (output + data.toString()).slice(-20_000);
      });
    }
    await waitFor(
      `${program} at ${address}`,
      () => {
        return child.exitCode !== null || listens(address);
      },
      patience,
    );
    if (child.exitCode !== null) throw new Error(`${program} ended with code ${child.exitCode}: ${output}`);
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    process.kill(-(child.pid as number), 'SIGKILL');
    await gone;
    await waitFor(`${program} to be gone`, async () => !(await listens(address)));
  };
  await start();
  return {
    address,
    kill,
    freeze: () => process.kill(-(child.pid as number), 'SIGSTOP'),
    thaw: () => process.kill(-(child.pid as number), 'SIGCONT'),
    restart: start,
    stop: async () => {
      await end(child);
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function listens(address: string): Promise<boolean> {
  const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(address) ?? [];
  const socket = address.startsWith('unix:') ? connect(address.slice(5)) : connect(Number(port), host);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}

function folder(name: string): string {
  const dir = mkdtempSync(join(tmpdir(), `waypost-${name}-`));
  // The programs drop root's rights and must still get in.
  chmodSync(dir, 0o777);
  return dir;
}

export interface RspamdProcess extends FilterProcess {
  /** Where it is a milter. */
  readonly milter: string;
}

/** rspamd's scanner and its milter, without modules that ask the network: what it knows by itself is GTUBE. */
export async function startRspamd(): Promise<RspamdProcess> {
  const dir = folder('rspamd');
  // Debian's list of all domains takes it ten seconds to compile.
  writeFileSync(join(dir, 'tld'), 'com\norg\ntest\n');
  const [port, milter] = [await freePort(), await freePort()];
  writeFileSync(
    join(dir, 'rspamd.conf'),
    `options {
  pidfile = "${dir}/rspamd.pid"; filters = ""; control_socket = "${dir}/control.sock mode=0600";
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
  rrd_file = "${dir}/rspamd.rrd"; stats_file = "${dir}/stats.ucl"; history_file = "${dir}/history";
  url_tld = "${dir}/tld"; hs_cache_dir = "${dir}/"; disable_hyperscan = true;
}
logging { type = "console"; level = "warning"; }
metric { name = "default"; actions { reject = 15; add_header = 6; greylist = 4; } }
actions { reject = 15; add_header = 6; greylist = 4; }
lua = "${dir}/own.lua"
worker "normal" { bind_socket = "127.0.0.1:${port}"; count = 1; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:${milter}"; milter = yes; count = 1; timeout = 10s;
  upstream "local" { default = yes; self_scan = yes; }
}
`,
  );
  // What rspamd's modules do when they want header fields changed.
  writeFileSync(
    join(dir, 'own.lua'),
    `rspamd_config:register_symbol({ name = 'OWN_FIELDS', type = 'postfilter', callback = function(task)
  if task:get_header('X-Ask') then
    task:set_milter_reply({ add_headers = { ['X-Own'] = 'seen by rspamd' }, remove_headers = { ['X-Ask'] = 0 } })
  end
end })
`,
  );
  const args = ['-f', '-i', '-c', join(dir, 'rspamd.conf')];
  const rspamd = await supervise({ program: 'rspamd', args, address: `127.0.0.1:${port}`, dir });
  await waitFor("rspamd's milter", () => listens(`127.0.0.1:${milter}`));
  return { ...rspamd, milter: `127.0.0.1:${milter}` };
}

/** spamd with rules of the test's own in place of Debian's, which want updates from the network. */
export async function startSpamd(): Promise<FilterProcess> {
  const dir = folder('spamd');
  const port = await freePort();
  mkdirSync(join(dir, 'site'));
  mkdirSync(join(dir, 'rules'));
  writeFileSync(join(dir, 'site', 'own.pre'), 'loadplugin Mail::SpamAssassin::Plugin::Check\n');
  writeFileSync(join(dir, 'site', 'local.cf'), 'use_bayes 0\nrequired_score 5\n');
  writeFileSync(
    join(dir, 'rules', 'own.cf'),
    [
      `body GTUBE /${GTUBE.replace(/[*.]/g, '\\$&')}/`,
      'describe GTUBE Generic Test for Unsolicited Bulk Email',
      'score GTUBE 1000',
      'header OWN_CHEAP Subject =~ /\\bcheap pills\\b/i',
      'score OWN_CHEAP 3.5',
      '',
    ].join('\n'),
  );
  const args = [
    ...['--listen', `127.0.0.1:${port}`, '--allowed-ips', '127.0.0.1', '--local', '--nouser-config'],
    ...['--max-children', '3', '--min-children', '2', '--username', 'nobody', '--syslog', 'stderr'],
    ...['--configpath', join(dir, 'rules'), '--siteconfigpath', join(dir, 'site'), '--helper-home-dir', dir],
  ];
  return supervise({ program: 'spamd', args, address: `127.0.0.1:${port}`, dir });
}

/** clamd with a signature database that knows EICAR alone. */
export async function startClamd(where: 'tcp' | 'unix', maxLength = '1M'): Promise<FilterProcess> {
  const dir = folder('clamd');
  const socket = join(dir, 'clamd.sock');
  const port = await freePort();
  mkdirSync(join(dir, 'db'));
  // Name, any file type, any offset, the signature in hex.
  const hex = Buffer.from(EICAR).toString('hex');
  writeFileSync(join(dir, 'db', 'test.ndb'), `Test.Eicar:0:*:${hex}\n`);
  writeFileSync(
    join(dir, 'clamd.conf'),
    [
      `DatabaseDirectory ${join(dir, 'db')}`,
      `PidFile ${join(dir, 'clamd.pid')}`,
      'Foreground yes',
      'MaxThreads 4',
      `StreamMaxLength ${maxLength}`,
      ...(where === 'tcp' ? ['TCPAddr 127.0.0.1', `TCPSocket ${port}`] : [`LocalSocket ${socket}`]),
      '',
    ].join('\n'),
  );
  const address = where === 'tcp' ? `127.0.0.1:${port}` : `unix:${socket}`;
  return supervise({ program: 'clamd', args: ['-c', join(dir, 'clamd.conf')], address, dir });
}

/** OpenDKIM as a milter that signs mail of example.com. */
export async function startOpendkim(): Promise<FilterProcess> {
  const dir = folder('opendkim');
  const port = await freePort();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(dir, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(
    join(dir, 'opendkim.conf'),
    [
      'Mode s',
      'Domain example.com',
      'Selector test',
      `KeyFile ${join(dir, 'key.pem')}`,
      `Socket inet:${port}@127.0.0.1`,
      `PidFile ${join(dir, 'opendkim.pid')}`,
      'Canonicalization relaxed/relaxed',
      'Background no',
      // Its key lies below the folder for temporary files, which others may write to.
      'RequireSafeKeys no',
      '',
    ].join('\n'),
  );
  const args = ['-f', '-l', '-x', join(dir, 'opendkim.conf')];
  return supervise({ program: 'opendkim', args, address: `127.0.0.1:${port}`, dir });
}
