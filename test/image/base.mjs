// The images that ours is built on: Debian's smallest with Node in it, and the same with npm for the build stage.
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { buildah, must } from './programs.mjs';

const SUITE = 'bookworm';
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
/** Nobody reads these in an image. */
const UNREAD = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/cache/apt', 'var/lib/apt/lists', 'var/log'];

/**
 * Makes both, unless they are there.
 * @param dir a folder for their files. @param root of the checkout, whose package.json says which npm.
 * @returns the names of both, and the build arguments of the second.
 */
export function makeBases(dir, root) {
  const version = process.versions.node;
  const names = { base: `localhost/waypost-base:${version}`, build: `localhost/waypost-build:${version}` };
  if (!has(names.base) || !has(names.build)) {
    const files = join(dir, 'rootfs');
    debootstrap(files);
    copyFileSync(process.execPath, join(files, 'usr/local/bin/node'));
    toImage(files, names.base);
    addNpm(files, root);
    toImage(files, names.build);
    rmSync(files, { recursive: true, force: true });
  }
  const certificates = existsSync(CERTIFICATES) ? ['--build-arg', `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`] : [];
  return ['--build-arg', `BASE_IMAGE=${names.base}`, '--build-arg', `BUILD_IMAGE=${names.build}`, ...certificates];
}

function has(image) {
  return buildah(['images', '--quiet', image], { may: true }).trim() !== '';
}

function debootstrap(files) {
  must('debootstrap', ['--variant=minbase', '--include=ca-certificates', SUITE, files]);
  for (const name of UNREAD) {
    rmSync(join(files, name), { recursive: true, force: true });
    mkdirSync(join(files, name), { recursive: true });
  }
}

/** npm as package.json names it, and the certificates of this machine: a proxy may come between it and the registry. */
function addNpm(files, root) {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const home = join(files, 'usr/local/npm');
  must('npm', [
    'install',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--prefix',
    home,
    packageManager,
  ]);
  symlinkSync('../npm/node_modules/npm/bin/npm-cli.js', join(files, 'usr/local/bin/npm'));
  if (existsSync(CERTIFICATES)) cpSync(CERTIFICATES, join(files, CERTIFICATES), { dereference: true });
}

function toImage(files, name) {
  const containerfile = join(files, '../Containerfile');
  must('sh', ['-c', `printf 'FROM scratch\\nCOPY . /\\n' > ${containerfile}`]);
  buildah(['bud', '--isolation', 'chroot', '--tag', name, '--file', containerfile, files]);
}
