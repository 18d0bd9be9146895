// `./waypost image-test`: builds the image and runs it as the chart does. Takes minutes, Debian packages and root.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeBases } from './base.mjs';
import { start } from './container.mjs';
import { buildah, must } from './programs.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const IMAGE = 'localhost/waypost:dev';
const SERVICES = ['ingress', 'policy', 'delivery', 'api', 'events'];

const missing = ['buildah', 'runc', 'debootstrap'].filter(
  (name) => must('sh', ['-c', `command -v ${name}`], { may: true }) === '',
);
if (process.getuid() !== 0) missing.unshift("root's rights");
if (missing.length > 0) {
  process.stdout.write(`image-test was skipped: it needs ${missing.join(', ')}\n`);
  process.exit(0);
}

let failed = 0;
const say = (text) => process.stdout.write(`${text}\n`);
const check = (what, good) => {
  say(`${good ? 'passed' : 'FAILED'}  ${what}`);
  if (!good) failed += 1;
};

const dir = mkdtempSync(join(tmpdir(), 'waypost-image-'));
chmodSync(dir, 0o755);
const undo = [() => rmSync(dir, { recursive: true, force: true })];
try {
  say('builds the image ...');
  const bases = makeBases(dir, ROOT);
  buildah(['bud', '--isolation', 'chroot', '--timestamp', '0', ...bases, '--tag', IMAGE, ROOT]);
  const { layers } = JSON.parse(buildah(['inspect', '--type', 'image', '--format', '{{.Manifest}}', IMAGE]));
  const sizes = layers.map(({ size }) => `${(size / 1e6).toFixed(1)} MB`);
  say(
    `image ${IMAGE}, layers ${sizes.join(' + ')} uncompressed: the base with Node, and Waypost with its dependencies`,
  );
  await tryOut(await prepare());
} finally {
  for (const step of undo.reverse()) await step();
}
say(failed === 0 ? 'image-test passed' : `image-test failed: ${failed}`);
process.exit(failed === 0 ? 0 : 1);

/** @returns what every container gets: the image's files and settings, a configuration, a Redis. */
async function prepare() {
  const container = buildah(['from', '--pull-never', IMAGE]).trim();
  undo.push(() => buildah(['rm', container], { may: true }));
  const rootfs = buildah(['mount', container]).trim();
  const image = JSON.parse(buildah(['inspect', '--type', 'image', IMAGE])).OCIv1.config;
  const [redis, http, api, metrics, submission] = await freePorts(5);
  await startRedis(redis);
  const config = join(dir, 'etc');
  mkdirSync(config);
  const sections = {
    server: { hostname: 'relay.example.com' },
    redis: { url: `redis://127.0.0.1:${redis}` },
    spool: { blobs: 'redis' },
    http: { host: '127.0.0.1', port: http },
    api: { host: '127.0.0.1', port: api },
    telemetry: { metrics_host: '127.0.0.1', metrics_port: metrics },
    listeners: [{ name: 'submission', kind: 'submission', port: submission }],
    tls: { self_signed_dir: '/tmp/tls' },
    routes: [{ match: '*', to: 'sink' }],
  };
  writeFileSync(join(config, 'waypost.yaml'), JSON.stringify(sections));
  return { shared: { dir, rootfs, image, config, health: `http://127.0.0.1:${metrics}` }, http };
}

async function tryOut({ shared, http }) {
  const file = ['--config', '/etc/waypost/waypost.yaml'];
  const all = await start({ ...shared, id: `waypost-${process.pid}`, args: ['run', 'all', ...file] });
  undo.push(all.stop);
  const { Uid, CapEff, CapBnd, NoNewPrivs } = all.status;
  check(`runs as user 10001 (${Uid.split('\t')[0]})`, /^10001\t/.test(Uid));
  check('has no capabilities and gets none', Number(`0x${CapEff}`) + Number(`0x${CapBnd}`) === 0 && NoNewPrivs === '1');
  const write = "try { require('fs').writeFileSync('/app/x', 'x') } catch (error) { console.log(error.code) }";
  check('cannot write to its files', all.inside(['node', '-e', write]).trim() === 'EROFS');
  const main = shared.image.Entrypoint.at(-1);
  const to = ['--http', `http://127.0.0.1:${http}`, '--to', 'smoke@example.com'];
  const said = all.inside(['node', main, 'smoke', ...file, ...to]);
  check(`relays a message: ${said.trim().replaceAll('\n', ', ')}`, /delivered/.test(said));
  const code = await all.stop();
  check(`ends with 0 on SIGTERM (${code})`, code === 0);
  say(`start to ready (load of the machine ${loadavg()[0].toFixed(1)}, processor time in brackets):`);
  say(figure('all', all));
  for (const service of SERVICES) {
    const one = await start({ ...shared, id: `waypost-${service}-${process.pid}`, args: ['run', service, ...file] });
    say(figure(service, one));
    check(`${service} ends with 0 on SIGTERM`, (await one.stop()) === 0);
  }
}

function figure(name, { milliseconds, processor }) {
  return `        ${name.padEnd(9)} ${(milliseconds / 1000).toFixed(2)} s (${(processor / 1000).toFixed(2)} s)`;
}

async function startRedis(port) {
  const data = join(dir, 'redis');
  mkdirSync(data);
  const program = must('sh', ['-c', 'command -v redis-server || command -v valkey-server']).trim();
  const settings = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction', '--save', ''];
  const child = spawn(program, ['--bind', '127.0.0.1', '--port', String(port), '--dir', data, ...settings]);
  undo.push(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  for await (const text of child.stdout) if (/ready to accept connections/i.test(String(text))) break;
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
