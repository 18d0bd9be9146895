import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parse } from 'yaml';
import { newKey } from './dkim-keys.js';
import type { Manifest } from './helm.js';

/** What files and variables of Secrets hold. */
const KEY = newKey('rsa');
const TEXT = 'x'.repeat(40);

interface Mount {
  readonly mountPath: string;
}

/**
 * Writes a service's configuration to `path` as its pod finds it: beside it lie the files it names that are mounted there, and
 * those alone.
 * @param certificate PEM, for files that hold one. @returns the file, and the variables that the pod has.
 */
export function configOf(objects: readonly Manifest[], service: string, path: string, certificate: string) {
  const named = (kind: string) =>
    objects.find((one) => one.kind === kind && one.metadata.name === `relay-waypost-${service}`) as Manifest;
  const [container] = named('Deployment').spec.template.spec.containers;
  const mounts = (container.volumeMounts as Mount[]).map(({ mountPath }) => `${mountPath}/`);
  const text = String(named('ConfigMap').data['waypost.yaml']);
  for (const file of filesIn(parse(text)).filter((name) => mounts.some((mount) => name.startsWith(mount)))) {
    mkdirSync(dirname(`${path}.d${file}`), { recursive: true });
    writeFileSync(`${path}.d${file}`, file.endsWith('.crt') ? certificate : /\.(?:pem|key)$/.test(file) ? KEY : TEXT);
  }
  writeFileSync(path, text.replaceAll(/(_file: ["']?)\//g, `$1${path}.d/`));
  const env = (container.env as { name: string; value?: string }[]).map(({ name, value }) => [name, value ?? TEXT]);
  return { path, env: Object.fromEntries(env) as Record<string, string> };
}

/** @returns the values of all keys that end in `_file`. */
function filesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key.endsWith('_file') && typeof inner === 'string' ? [inner] : filesIn(inner),
  );
}
