// Renders the chart into k8s/base, which kustomize overlays build on: `npm run render` after a change of the chart.
// `node helm/render.mjs <folder>` writes elsewhere, for comparison.
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { carried, objectsOf } from '../test/support/helm.ts';

const ROOT = resolve(import.meta.dirname, '..');
const HEAD =
  '# Rendered from helm/waypost with k8s/values.yaml by `npm run render`; changes belong there or into an overlay.\n';
/** Labels that say that helm manages an object, which it does not here. */
const OF_HELM = /^ +(?:app\.kubernetes\.io\/managed-by|helm\.sh\/chart): .*\n/gm;

const target = resolve(process.argv[2] ?? join(ROOT, 'k8s/base'));
const files = Map.groupBy(await documents(), fileOf);
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const [name, texts] of files) writeFileSync(join(target, name), HEAD + texts.join('---\n'));
const resources = [...files.keys()].sort().map((name) => `  - ${name}\n`);
writeFileSync(
  join(target, 'kustomization.yaml'),
  `${HEAD}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n${resources.join('')}`,
);

/** @returns the text of each rendered object. */
async function documents() {
  const chart = [join(ROOT, 'helm/waypost'), '--values', join(ROOT, 'k8s/values.yaml')];
  const args = ['template', 'waypost', ...chart, '--namespace', 'waypost', '--kube-version', '1.34.0'];
  const { stdout } = await promisify(execFile)(await carried(4, 'helm'), args, { maxBuffer: 64 << 20 });
  return stdout
    .split(/^---\n/m)
    .map((text) =>
      text
        .replace(/^# Source: .*\n/gm, '')
        .replace(OF_HELM, '')
        .replace(/^\n+/gm, ''),
    )
    .filter((text) => text.trim() !== '');
}

/** A file for each service, and one for what they share. */
function fileOf(text) {
  const [{ metadata }] = objectsOf(text);
  return `${metadata.labels['app.kubernetes.io/component'] ?? 'shared'}.yaml`;
}
