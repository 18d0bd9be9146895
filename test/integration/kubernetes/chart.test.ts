import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@waypost/config';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHART, carried, HELM_VERSIONS, lint, type Manifest, render, runsHelm } from '../../support/helm.js';
import { configOf } from '../../support/helm-config.js';
import { identityPem } from '../../support/identity.js';
import { haveSchemas, K8sSchemas } from '../../support/k8s-schemas.js';

const SERVICES = ['ingress', 'policy', 'delivery', 'api', 'events'];
const MATRIX = readdirSync(join(CHART, 'ci')).sort();
const values = (name: string) => join(CHART, 'ci', `${name}.yaml`);
const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === `relay-waypost-${name}`);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
};
const containerOf = (object: Manifest) => object.spec.template.spec.containers[0];

describe.skipIf(!runsHelm)('the chart (needs Linux on x86-64)', () => {
  const helm = new Map<number, string>();
  let dir: string;
  let certificate: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-chart-'));
    certificate = (await identityPem(dir, 'smime', 'example.com')).cert;
    for (const version of HELM_VERSIONS) helm.set(version, await carried(version, 'helm'));
  }, 180_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const newest = () => helm.get(4) as string;
  const rendered = async (name: string, set?: Record<string, unknown>) => {
    const { objects, refusal } = await render(newest(), [values(name)], set);
    expect(refusal).toBe('');
    return objects;
  };

  it('is tried with at least 16 sets of values', () => expect(MATRIX.length).toBeGreaterThanOrEqual(16));

  describe.each(MATRIX)('%s', (file) => {
    it.each(HELM_VERSIONS)('is linted by helm %i', async (version) => {
      const said = await lint(helm.get(version) as string, join(CHART, 'ci', file));
      expect(said).toContain('1 chart(s) linted, 0 chart(s) failed');
    });

    it.skipIf(!haveSchemas)('breaks no schema, by helm 3 and 4 alike (needs k8s-schemas)', async () => {
      const schemas = new K8sSchemas();
      const [three, four] = await Promise.all(
        HELM_VERSIONS.map((version) => render(helm.get(version) as string, [join(CHART, 'ci', file)])),
      );
      expect([three?.refusal, four?.refusal]).toEqual(['', '']);
      expect(four?.objects.length).toBeGreaterThan(10);
      expect(four?.objects.flatMap((object) => schemas.violations(object))).toEqual([]);
      const names = (objects: readonly Manifest[] = []) =>
        objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
      expect(names(three?.objects)).toEqual(names(four?.objects));
    });

    it('gives every service a configuration that Waypost takes', async () => {
      const { objects } = await render(newest(), [join(CHART, 'ci', file)]);
      for (const service of SERVICES) {
        const { path, env } = configOf(objects, service, join(dir, `${file}-${service}`), certificate);
        expect(() => loadConfig({ file: path, env })).not.toThrow();
      }
    });

    it('runs nothing with rights that it does not need', async () => {
      const { objects } = await render(newest(), [join(CHART, 'ci', file)]);
      const pods = objects.flatMap((object) =>
        object.kind === 'Pod' ? [object.spec] : object.spec?.template ? [object.spec.template.spec] : [],
      );
      expect(pods.length).toBeGreaterThanOrEqual(5);
      for (const pod of pods) {
        expect(pod.automountServiceAccountToken).toBe(false);
        expect(pod.securityContext).toMatchObject({
          runAsNonRoot: true,
          runAsUser: 10001,
          seccompProfile: { type: 'RuntimeDefault' },
        });
        for (const container of [...pod.containers, ...(pod.initContainers ?? [])]) {
          expect(container.securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          });
          for (const { containerPort } of container.ports ?? []) expect(containerPort).toBeGreaterThan(1023);
        }
      }
    });
  });

  describe('values that cannot work are refused with what to do', () => {
    it.each<[string, Record<string, unknown>, RegExp]>([
      ['an unknown key', { 'redis.maxmemmory': '1gb' }, /maxmemmory/],
      ['no host name', { hostname: '' }, /hostname is empty: set it to the name/],
      ['PROXY protocol without networks', { 'proxyProtocol.enabled': true }, /needs proxyProtocol\.trustedCIDRs/],
      [
        'PROXY protocol for everybody',
        { proxyProtocol: { enabled: true, trustedCIDRs: ['0.0.0.0/0'] } },
        /name your load balancers' networks/,
      ],
      [
        'HPA and KEDA together',
        { 'services.policy.autoscaling.kind': 'hpa+keda' },
        /value must be one of|must be one of the following/,
      ],
      ['KEDA without Prometheus', { 'services.policy.autoscaling.kind': 'keda' }, /set keda\.serverAddress/],
      [
        'replicas that share a volume for one node',
        { spool: { blobs: 'fs', fs: { accessMode: 'ReadWriteOnce' } } },
        /use ReadWriteMany, or spool\.blobs s3 or redis, or one replica/,
      ],
      ['two Redis', { 'externalRedis.url': 'redis://x:1' }, /set redis\.enabled to false/],
      ['no Redis', { 'redis.enabled': false }, /there is no Redis/],
      [
        'Redis Cluster',
        { 'redis.enabled': false, 'externalRedis.cluster': ['a:1'] },
        /externalRedis\.sentinel for failover/,
      ],
      ['submission without TLS', { 'tls.existingSecret': '' }, /submission needs TLS/],
      ['a trusted listener for nobody', { 'listeners.relay.enabled': true }, /listeners\.relay\.allow/],
      ['an mx listener for no domain', { 'listeners.mx.enabled': true }, /listeners\.mx\.domains/],
      ['a certificate from nobody', { tls: { existingSecret: '', certManager: { enabled: true } } }, /issuerRef\.name/],
      ['a source without EHLO name', { 'egress.sources': [{ name: 'a', ehlo: '' }] }, /PTR record/],
      ['SOCKS5 without proxies', { 'egress.mode': 'socks5' }, /egress\.sources with a proxy each/],
      ['a gateway without address', { 'egress.mode': 'cilium' }, /egress\.cilium\.egressIP/],
      ['S3 without a bucket', { 'spool.blobs': 's3' }, /spool\.s3\.bucket/],
    ])('%s', async (_, set, said) => {
      const refusals = await Promise.all(
        HELM_VERSIONS.map(
          async (version) => (await render(helm.get(version) as string, [values('minimal')], set)).refusal,
        ),
      );
      for (const refusal of refusals) expect(refusal).toMatch(said);
    });
  });

  it('lets only delivery reach port 25 outside', async () => {
    const objects = await rendered('everything');
    const reaching = objects
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .filter(({ spec }) =>
        spec.egress.some(
          (rule: { ports?: { port: unknown }[] }) => !rule.ports || rule.ports.some(({ port }) => port === 25),
        ),
      );
    expect(reaching.map(({ metadata }) => metadata.name)).toEqual(['relay-waypost-delivery']);
  });

  it('has a policy for every pod, and lets nobody but Waypost reach its Redis', async () => {
    const objects = await rendered('minimal');
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy').map(({ metadata }) => metadata.name);
    expect(policies.sort()).toEqual(
      ['api', 'delivery', 'events', 'ingress', 'policy', 'redis'].map((name) => `relay-waypost-${name}`),
    );
    const [rule] = find(objects, 'NetworkPolicy', 'redis').spec.ingress;
    expect(rule.from[0].podSelector.matchLabels).toMatchObject({ 'app.kubernetes.io/instance': 'relay' });
  });

  it.each(['dkim-keys', 'smime-keys'])(
    'mounts %s into policy alone, and no other service has a word of them',
    async (secret) => {
      const objects = await rendered('inline-policy');
      const mounting = objects.filter(
        ({ kind, spec }) =>
          kind === 'Deployment' &&
          spec.template.spec.volumes.some(
            (volume: { secret?: { secretName: string } }) => volume.secret?.secretName === secret,
          ),
      );
      expect(mounting.map(({ metadata }) => metadata.name)).toEqual(['relay-waypost-policy']);
      const path = `/run/secrets/${secret.replace('-keys', '')}/`;
      const naming = SERVICES.filter((service) =>
        find(objects, 'ConfigMap', service).data['waypost.yaml'].includes(path),
      );
      expect(naming).toEqual(['policy']);
    },
  );

  describe('policy in the session', () => {
    it('is asked by ingress alone, with a secret that both have', async () => {
      const objects = await rendered('inline-policy');
      const service = find(objects, 'Service', 'policy');
      expect(service.spec.ports).toEqual([{ name: 'inline', port: 8082, targetPort: 'inline' }]);
      const taking = find(objects, 'NetworkPolicy', 'policy').spec.ingress.find(
        ({ ports }: { ports: { port: string }[] }) => ports[0]?.port === 'inline',
      );
      expect(taking.from).toHaveLength(1);
      expect(taking.from[0].podSelector.matchLabels['app.kubernetes.io/component']).toBe('ingress');
      const secretOf = (name: string) =>
        containerOf(find(objects, 'Deployment', name)).env.find(
          ({ name: key }: { name: string }) => key === 'WAYPOST__POLICY__INLINE__SECRET',
        )?.valueFrom.secretKeyRef;
      const made = { name: 'relay-waypost-inline', key: 'secret' };
      expect(SERVICES.map(secretOf)).toEqual([made, made, undefined, undefined, undefined]);
      expect(Buffer.from(find(objects, 'Secret', 'inline').data.secret, 'base64')).toHaveLength(40);
    });

    it('takes a Secret that is there already, and then makes none', async () => {
      const objects = await rendered('inline-own-secret');
      expect(objects.some(({ kind }) => kind === 'Secret')).toBe(false);
    });

    it('is off unless asked for', async () => {
      const objects = await rendered('inbound');
      expect(objects.some(({ kind, metadata }) => kind === 'Service' && metadata.name.endsWith('-policy'))).toBe(false);
    });
  });

  it('lets policy reach the filters that it is configured with, and no other service', async () => {
    const objects = await rendered('inline-policy');
    const reaching = (name: string) =>
      find(objects, 'NetworkPolicy', name).spec.egress.find(({ ports }: { ports: { port: unknown }[] }) =>
        ports.some(({ port }) => port === 11333),
      );
    expect(reaching('policy')).toEqual({
      ports: [{ port: 11333 }, { port: 3310 }, { port: 8894 }],
      to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'filters' } } }],
    });
    expect(SERVICES.filter(reaching)).toEqual(['policy']);
  });

  it('leaves the number of replicas to who scales', async () => {
    const objects = await rendered('everything');
    expect(find(objects, 'Deployment', 'ingress').spec.replicas).toBeUndefined();
    expect(find(objects, 'Deployment', 'delivery').spec.replicas).toBeUndefined();
    expect(find(objects, 'Deployment', 'events').spec.replicas).toBe(2);
    const scaling = objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject');
    expect(scaling.map(({ kind, metadata }) => `${metadata.name} ${kind}`).sort()).toEqual([
      'relay-waypost-delivery ScaledObject',
      'relay-waypost-ingress HorizontalPodAutoscaler',
      'relay-waypost-policy ScaledObject',
    ]);
  });

  it('gives delivery longer to end than a remote may take to answer the final dot', async () => {
    const pod = find(await rendered('minimal'), 'Deployment', 'delivery').spec.template.spec;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(600);
  });

  it('keeps the addresses of clients, and maps the ports of mail to those without privileges', async () => {
    const { spec } = find(await rendered('inbound'), 'Service', 'smtp');
    expect(spec.externalTrafficPolicy).toBe('Local');
    expect(spec.ports.map(({ port, targetPort }: { port: number; targetPort: string }) => [port, targetPort])).toEqual([
      [587, 'submission'],
      [465, 'submissions'],
      [25, 'mx'],
    ]);
  });

  it('takes the PROXY protocol on ports of its own, from load balancers alone', async () => {
    const objects = await rendered('proxy-protocol');
    const plain = find(objects, 'Service', 'smtp').spec.ports.map(
      ({ targetPort }: { targetPort: string }) => targetPort,
    );
    const proxied = find(objects, 'Service', 'smtp-proxy').spec.ports.map(
      ({ targetPort }: { targetPort: string }) => targetPort,
    );
    expect(plain).toEqual(['submission', 'submissions', 'relay']);
    expect(proxied).toEqual(['submission-px', 'submissions-px', 'relay-px']);
    const rule = find(objects, 'NetworkPolicy', 'ingress').spec.ingress.find(
      (one: { ports: { port: string }[] }) => one.ports[0]?.port === 'submission-px',
    );
    expect(rule.from).toEqual([{ ipBlock: { cidr: '10.0.0.0/16' } }, { ipBlock: { cidr: 'fd00::/64' } }]);
  });

  it('starts pods anew when their configuration changes, and only those', async () => {
    const sum = async (set: Record<string, unknown>, service: string) =>
      find(await rendered('minimal', set), 'Deployment', service).spec.template.metadata.annotations['checksum/config'];
    const change = { 'services.policy.config': { policy: { concurrency: 7 } } };
    expect(await sum(change, 'policy')).not.toBe(await sum({}, 'policy'));
    expect(await sum(change, 'ingress')).toBe(await sum({}, 'ingress'));
  });

  it('checks the configuration before the service starts, with the same image, files and environment', async () => {
    const deployment = find(await rendered('redis-tls-acl'), 'Deployment', 'policy');
    const [check] = deployment.spec.template.spec.initContainers;
    const container = containerOf(deployment);
    expect(check.args).toEqual(['config', 'check', '/etc/waypost/waypost.yaml']);
    expect([check.image, check.env, check.volumeMounts]).toEqual([
      container.image,
      container.env,
      container.volumeMounts,
    ]);
  });

  it('has no secret in a ConfigMap or an argument', async () => {
    const objects = await rendered('redis-own-secret');
    expect(objects.some(({ kind }) => kind === 'Secret')).toBe(false);
    const { env } = containerOf(find(objects, 'Deployment', 'ingress'));
    expect(env).toContainEqual({
      name: 'WAYPOST__REDIS__PASSWORD',
      valueFrom: { secretKeyRef: { name: 'my-redis', key: 'pw' } },
    });
  });

  it('keeps mail on a volume, each write of it synced, none ever evicted', async () => {
    const objects = await rendered('minimal');
    const conf = find(objects, 'ConfigMap', 'redis').data['redis.conf'];
    expect(conf).toMatch(/^appendonly yes$/m);
    expect(conf).toMatch(/^appendfsync always$/m);
    expect(conf).toMatch(/^maxmemory-policy noeviction$/m);
    expect(find(objects, 'StatefulSet', 'redis').spec.persistentVolumeClaimRetentionPolicy.whenDeleted).toBe('Retain');
  });
});
