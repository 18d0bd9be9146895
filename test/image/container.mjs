// One container as the chart's pods are: root file system read-only, no rights, an own user, /tmp the one place to write.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './programs.mjs';

const READY_WITHIN = 60_000;
const LOOK_EVERY = 10;
const TICKS = 100;

const mount = (destination, type, source, options) => ({ destination, type, source, options });
const MOUNTS = [
  mount('/proc', 'proc', 'proc', []),
  mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
  mount('/dev/shm', 'tmpfs', 'shm', ['nosuid', 'noexec', 'nodev', 'mode=1777']),
  mount('/sys', 'sysfs', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro']),
  mount('/tmp', 'tmpfs', 'tmpfs', ['nosuid', 'nodev', 'mode=1777', 'size=268435456']),
];

function specOf({ rootfs, image, args, config }) {
  const none = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 10001, gid: 10001 },
      args: [...image.Entrypoint, ...args],
      env: image.Env,
      cwd: image.WorkingDir,
      capabilities: none,
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    mounts: [...MOUNTS, mount('/etc/waypost', 'bind', config, ['rbind', 'ro'])],
    // The network is this machine's, where Redis is.
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  };
}

/** Starts a container. `health` is the address of its health server. */
export async function start({ dir, id, health, ...what }) {
  const bundle = join(dir, id);
  mkdirSync(bundle, { recursive: true });
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(specOf(what)));
  const before = performance.now();
  const child = spawn('runc', ['run', '--bundle', bundle, id], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const inside = (args) => must('runc', ['exec', '--user', '10001:10001', id, ...args]);
  const stop = async () => {
    must('runc', ['kill', id, 'TERM'], { may: true });
    return ended;
  };
  try {
    await ready(health, child);
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${said.slice(-4000)}`);
  }
  const milliseconds = performance.now() - before;
  const { pid } = JSON.parse(must('runc', ['state', id]));
  return { milliseconds, processor: processorOf(pid), status: statusOf(pid), inside, stop, said: () => said };
}

async function ready(health, child) {
  for (const deadline = Date.now() + READY_WITHIN; Date.now() < deadline; ) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    const answer = await fetch(`${health}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  throw new Error(`it was not ready within ${READY_WITHIN} ms`);
}

/** @returns processor time of a process so far, ms. */
function processorOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
}

function statusOf(pid) {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/:\s+/)));
}
