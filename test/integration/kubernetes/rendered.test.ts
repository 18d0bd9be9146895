import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig } from '@waypost/config';
import { run } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHART, carried, type Manifest, objectsOf, runsHelm } from '../../support/helm.js';
import { haveSchemas, K8sSchemas } from '../../support/k8s-schemas.js';

const ROOT = resolve(CHART, '../..');
const SERVICES = ['ingress', 'policy', 'delivery', 'api', 'events'];

/** What a folder holds, by name. */
const textsIn = (dir: string) =>
  Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'utf8')]));

describe('what is written from the chart', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-rendered-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const script = async (name: string, target: string) => {
    const { code, stderr } = await run(process.execPath, [join(ROOT, 'helm', name), target]);
    expect(`${stderr}${code}`).toMatch(/0$/);
  };

  it('README.md is what its values say (npm run render)', async () => {
    await script('readme.mjs', join(dir, 'README.md'));
    expect(readFileSync(join(CHART, 'README.md'), 'utf8')).toBe(readFileSync(join(dir, 'README.md'), 'utf8'));
  });

  it.skipIf(!runsHelm)('k8s/base is what the chart gives (npm run render; needs Linux on x86-64)', async () => {
    await script('render.mjs', join(dir, 'base'));
    expect(textsIn(join(ROOT, 'k8s/base'))).toEqual(textsIn(join(dir, 'base')));
  });
});

describe.skipIf(!runsHelm).each(['development', 'production'])('overlay %s (needs Linux on x86-64)', (overlay) => {
  let objects: Manifest[];
  beforeAll(async () => {
    const kubectl = await carried(4, 'kubectl');
    const { code, stdout, stderr } = await run(kubectl, ['kustomize', join(ROOT, 'k8s/overlays', overlay)]);
    if (code !== 0) throw new Error(stderr);
    objects = objectsOf(stdout);
  }, 180_000);
  const named = (kind: string, name: string | RegExp) => {
    const found = objects.find((one) => one.kind === kind && new RegExp(`^waypost-${name}`).test(one.metadata.name));
    if (!found) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };

  it.skipIf(!haveSchemas)('breaks no schema (needs k8s-schemas)', () => {
    const schemas = new K8sSchemas();
    expect(objects.length).toBeGreaterThan(20);
    expect(objects.flatMap((object) => schemas.violations(object))).toEqual([]);
  });

  it('gives every service its settings, and a configuration that Waypost takes with them', () => {
    const settings = named('ConfigMap', 'settings');
    const dir = mkdtempSync(join(tmpdir(), 'waypost-overlay-'));
    try {
      for (const service of SERVICES) {
        const pod = named('Deployment', service).spec.template.spec;
        for (const { envFrom } of [...pod.containers, ...pod.initContainers]) {
          expect(envFrom).toEqual([{ configMapRef: { name: settings.metadata.name } }]);
        }
        const file = join(dir, `${service}.yaml`);
        writeFileSync(file, String(named('ConfigMap', service).data['waypost.yaml']));
        const config = loadConfig({ file, env: settings.data as Record<string, string> });
        expect(config.routes).toEqual([
          expect.objectContaining({ match: '*', to: overlay === 'production' ? 'mx' : 'sink' }),
        ]);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('mounts nothing that it has no volume for, and has all in one namespace', () => {
    for (const service of SERVICES) {
      const pod = named('Deployment', service).spec.template.spec;
      const volumes = pod.volumes.map(({ name }: { name: string }) => name);
      const mounts = [...pod.containers, ...pod.initContainers].flatMap(({ volumeMounts }) => volumeMounts);
      expect(mounts.filter(({ name }: { name: string }) => !volumes.includes(name))).toEqual([]);
    }
    expect(new Set(objects.map(({ metadata }) => metadata.namespace)).size).toBe(1);
  });
});

describe.skipIf(!runsHelm)('overlay production (needs Linux on x86-64)', () => {
  it('leaves the number of replicas to the autoscalers, and holds no secret', async () => {
    const kubectl = await carried(4, 'kubectl');
    const { stdout } = await run(kubectl, ['kustomize', join(ROOT, 'k8s/overlays/production')]);
    const objects = objectsOf(stdout);
    const scaled = objects
      .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
      .map(({ metadata }) => metadata.name);
    expect(scaled.sort()).toEqual(['waypost-delivery', 'waypost-ingress', 'waypost-policy']);
    const deployments = objects.filter(({ kind }) => kind === 'Deployment');
    const free = deployments.filter(({ spec }) => spec.replicas === undefined).map(({ metadata }) => metadata.name);
    expect(free.sort()).toEqual(scaled);
    expect(objects.some(({ kind }) => kind === 'Secret')).toBe(false);
  });
});
