import { type ChildProcess, spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, find, freePort, run, waitFor } from '@waypost/testkit';

/** Zones by name, each with its records as in a zone file, relative to it. */
export interface SignedZones {
  /** With a trust anchor that fits. */
  readonly secure: Readonly<Record<string, readonly string[]>>;
  /** Signed too, with a trust anchor of other keys: nothing of them is valid. */
  readonly bogus?: Readonly<Record<string, readonly string[]>>;
  /** Not signed. */
  readonly insecure?: Readonly<Record<string, readonly string[]>>;
}

/** knot serves and signs the zones, and unbound validates them. */
export class SignedDns {
  private constructor(
    private readonly dir: string,
    private readonly servers: readonly ChildProcess[],
    /** Of the validating resolver, `address:port`. */
    readonly address: string,
    private readonly rewrite: (zone: string, records: readonly string[]) => Promise<void>,
  ) {}

  static async start({ secure, bogus = {}, insecure = {} }: SignedZones): Promise<SignedDns> {
    const dir = mkdtempSync(join(tmpdir(), 'waypost-dns-'));
    for (const name of ['zones', 'run', 'keys']) mkdirSync(join(dir, name));
    const [knotPort, unboundPort] = [await freePort(), await freePort()];
    const signed = { ...secure, ...bogus };
    let serial = 1;
    const write = (zone: string, records: readonly string[]) =>
      writeFileSync(
        join(dir, 'zones', `${zone}.zone`),
        [
          `$ORIGIN ${zone}.`,
          '$TTL 1',
          `@ SOA ns.${zone}. h.${zone}. ${serial++} 60 60 60 1`,
          '@ NS ns',
          'ns A 127.0.0.1',
          ...records,
          '',
        ].join('\n'),
      );
    for (const [zone, records] of Object.entries({ ...signed, ...insecure })) write(zone, records);
    const config = join(dir, 'knot.conf');
    writeFileSync(config, knotConfig(dir, knotPort, Object.keys(signed), Object.keys(insecure)));
    const knot = spawn(find('knotd') ?? '', ['-c', config], { stdio: 'ignore' });
    const names = Object.keys({ ...signed, ...insecure });
    const ask = new Resolver({ timeout: 500, tries: 1 });
    ask.setServers([`127.0.0.1:${knotPort}`]);
    await waitFor('knot to serve', () => Promise.all(names.map((name) => ask.resolveNs(name))));
    const anchors = await Promise.all(Object.keys(signed).map((zone) => anchor(config, zone, zone in bogus)));
    const unboundConfig = join(dir, 'unbound.conf');
    writeFileSync(unboundConfig, unboundConf(dir, unboundPort, knotPort, names, anchors));
    const unbound = spawn(find('unbound') ?? '', ['-d', '-c', unboundConfig], { stdio: 'ignore' });
    const validating = new Resolver({ timeout: 500, tries: 1 });
    validating.setServers([`127.0.0.1:${unboundPort}`]);
    await waitFor('unbound to answer', () =>
      Promise.all(Object.keys(secure).map((name) => validating.resolveNs(name))),
    );
    return new SignedDns(dir, [knot, unbound], `127.0.0.1:${unboundPort}`, async (zone, records) => {
      write(zone, records);
      const { code, stderr } = await run(find('knotc') ?? '', ['-c', config, '-b', 'zone-reload', zone]);
      if (code !== 0) throw new Error(stderr);
    });
  }

  /** Replaces a zone's records; they are signed anew. */
  update(zone: string, records: readonly string[]): Promise<void> {
    return this.rewrite(zone, records);
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => end(server)));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function knotConfig(dir: string, port: number, signed: readonly string[], plain: readonly string[]): string {
  const zone = (name: string, more: string) =>
    `  - domain: ${name}\n    file: ${name}.zone\n    zonefile-load: difference\n    zonefile-sync: -1\n    journal-content: all\n${more}`;
  return `
server:
  listen: 127.0.0.1@${port}
  rundir: ${join(dir, 'run')}
database:
  storage: ${join(dir, 'keys')}
policy:
  - id: quick
    algorithm: ed25519
    single-type-signing: on
template:
  - id: default
    storage: ${join(dir, 'zones')}
zone:
${signed.map((name) => zone(name, '    dnssec-signing: on\n    dnssec-policy: quick\n')).join('')}${plain.map((name) => zone(name, '')).join('')}`;
}

/** @returns the zone's DS record; `wrong`: of a key that it does not have. */
async function anchor(config: string, zone: string, wrong: boolean): Promise<string> {
  const lines = await waitFor(`the key of ${zone}`, async () => {
    const { stdout } = await run(find('keymgr') ?? '', ['-c', config, zone, 'ds']);
    return stdout.split('\n').filter((line) => / DS /.test(line));
  });
  const sha256 = lines.find((line) => / DS \d+ \d+ 2 /.test(line)) ?? '';
  return wrong ? sha256.replace(/[0-9a-f]{8}$/i, (tail) => (tail === 'deadbeef' ? 'beefdead' : 'deadbeef')) : sha256;
}

function unboundConf(
  dir: string,
  port: number,
  upstream: number,
  zones: readonly string[],
  anchors: readonly string[],
): string {
  return `
server:
  interface: 127.0.0.1
  port: ${port}
  username: ""
  chroot: ""
  directory: "${dir}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
  val-bogus-ttl: 1
  local-zone: "test." transparent
${anchors.map((ds) => `  trust-anchor: "${ds}"`).join('\n')}
remote-control:
  control-enable: no
${zones.map((zone) => `stub-zone:\n  name: "${zone}"\n  stub-addr: 127.0.0.1@${upstream}`).join('\n')}
`;
}
