import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { openRedis, type RedisHandle, RedisRefusedError, RedisUncertainError } from '@waypost/redis';
import { missing, run, startRedis, type TestRedis, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisConfig, type Server, startServer } from '../../support/redis-servers.js';

const set = (key: string) => ({ name: 'set', args: [key, 'v'] });

async function replicaOf(master: TestRedis): Promise<TestRedis> {
  const replica = await startRedis([
    '--replicaof',
    '127.0.0.1',
    String(master.port),
    '--repl-diskless-sync-delay',
    '0',
  ]);
  return replica;
}

async function connectedReplicas(handle: RedisHandle): Promise<number> {
  return ((await handle.client.info('replication')).match(/state=online/g) ?? []).length;
}

describe('replica durability', () => {
  let master: TestRedis;
  let replica: TestRedis;
  let admin: RedisHandle;
  let redis: RedisHandle;
  beforeAll(async () => {
    // The master keeps nothing on disk: what is confirmed is what the replica has.
    master = await startRedis(['--appendonly', 'no', '--repl-diskless-sync-delay', '0']);
    replica = await replicaOf(master);
    admin = await openRedis(redisConfig({ url: master.url, durability: 'memory' }));
    await waitFor('the replica', async () => (await connectedReplicas(admin)) === 1);
    redis = await openRedis(redisConfig({ url: master.url, durability: 'replica', replicas: 1 }));
  });
  afterAll(async () => {
    await redis?.close();
    await admin?.close();
    await replica?.stop();
    await master?.stop();
  });

  it('what is confirmed is on the replica', async () => {
    const reader = await openRedis(redisConfig({ url: replica.url, durability: 'memory' }));
    for (let at = 0; at < 20; at += 1) {
      await redis.group.exec([set(`k${at}`)]);
      expect(await reader.client.exists(`k${at}`)).toBe(1);
    }
    await reader.close();
  });

  it('is uncertain when the replica does not confirm, and sure again when it does', async () => {
    process.kill(replica.pid, 'SIGSTOP');
    try {
      await expect(redis.group.exec([set('unconfirmed')])).rejects.toSatisfy(
        (error) => error instanceof RedisUncertainError && /fewer than 1 replicas confirmed/.test(error.message),
      );
    } finally {
      process.kill(replica.pid, 'SIGCONT');
    }
    await waitFor('the replica', async () => (await connectedReplicas(admin)) === 1);
    expect(await redis.group.exec([set('confirmed')])).toEqual(['OK']);
  }, 30_000);
});

describe('users and passwords', () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startRedis();
    const admin = await openRedis(redisConfig({ url: server.url }));
    await admin.client.call('ACL', 'SETUSER', 'relay', 'on', '>pa:ss@word', '~wp:*', '&*', '+@all');
    await admin.client.call('ACL', 'SETUSER', 'default', 'resetpass', '>main');
    await admin.close();
  });
  afterAll(() => server?.stop());

  it.each([
    ['in the configuration', () => ({ url: server.url, username: 'relay', password: 'pa:ss@word' })],
    ['in the URL', () => ({ url: `redis://relay:${encodeURIComponent('pa:ss@word')}@127.0.0.1:${server.port}` })],
    ['password alone', () => ({ url: server.url, password: 'main' })],
  ])('%s', async (_, settings) => {
    const redis = await openRedis(redisConfig(settings()));
    expect(await redis.group.exec([set('wp:a')])).toEqual(['OK']);
    // The second connection knows them too.
    await redis.subscriber.subscribe('wp:wake');
    await redis.close();
  });

  it('a key that the user may not touch is refused, and nothing ran', async () => {
    const redis = await openRedis(redisConfig({ url: server.url, username: 'relay', password: 'pa:ss@word' }));
    await expect(redis.group.exec([set('wp:mine'), set('theirs')])).rejects.toBeInstanceOf(RedisRefusedError);
    expect(await redis.client.exists('wp:mine')).toBe(0);
    await redis.close();
  });

  it('a wrong password is refused with a sentence that does not show it', async () => {
    const error = await openRedis(redisConfig({ url: server.url, password: 'hunter2' })).catch((error: Error) => error);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toMatch(/^Redis cannot be reached: WRONGPASS/);
    expect((error as Error).message).not.toContain('hunter2');
  }, 30_000);
});

const lacking = missing('openssl');
describe.skipIf(lacking.length > 0)('TLS (needs openssl)', () => {
  let server: Server;
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-redis-tls-'));
    const [cert, key] = [join(dir, 'crt'), join(dir, 'key')];
    const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const made = await run('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...name]);
    if (made.code !== 0) throw new Error(made.stderr);
    server = await startServer((port) => [
      'port 0',
      `tls-port ${port}`,
      `tls-cert-file ${cert}`,
      `tls-key-file ${key}`,
      'tls-auth-clients no',
      'appendonly yes',
      'appendfsync always',
    ]);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('a certificate that nobody vouches for is refused', async () => {
    await expect(openRedis(redisConfig({ url: `rediss://127.0.0.1:${server.port}` }))).rejects.toThrow(
      /^Redis cannot be reached: self-signed certificate/,
    );
  }, 30_000);

  it('a trusted one is taken, on both connections', async () => {
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, readFileSync(join(dir, 'crt'), 'utf8')]);
    try {
      const redis = await openRedis(redisConfig({ url: `rediss://127.0.0.1:${server.port}` }));
      expect(await redis.group.exec([set('k')])).toEqual(['OK']);
      await redis.subscriber.subscribe('wp:wake');
      await redis.close();
    } finally {
      setDefaultCACertificates(before);
    }
  });
});

describe('sentinels', () => {
  let master: TestRedis;
  let replica: TestRedis;
  const sentinels: Server[] = [];
  let redis: RedisHandle;
  beforeAll(async () => {
    master = await startRedis(['--repl-diskless-sync-delay', '0']);
    replica = await replicaOf(master);
    for (let at = 0; at < 3; at += 1) {
      const lines = (port: number) => [
        `port ${port}`,
        `sentinel monitor main 127.0.0.1 ${master.port} 2`,
        'sentinel down-after-milliseconds main 300',
        'sentinel failover-timeout main 3000',
        'requirepass watch',
        'sentinel sentinel-pass watch',
      ];
      sentinels.push(await startServer(lines, ['--sentinel']));
    }
    const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`);
    redis = await openRedis(redisConfig({ sentinel: { hosts, name: 'main', password: 'watch' } }), {
      onError: () => undefined,
    });
  }, 60_000);
  afterAll(async () => {
    await redis?.close();
    for (const sentinel of sentinels) await sentinel.stop();
    await replica?.stop();
    await master?.stop();
  });

  it('lead to the master, and to the next one when it dies, with what was confirmed', async () => {
    await waitFor('the replica', async () => (await connectedReplicas(redis)) === 1);
    await redis.group.exec([set('before')]);
    await redis.client.wait(1, 5000);
    const heard: string[] = [];
    redis.subscriber.on('message', (_, message) => heard.push(message));
    await redis.subscriber.subscribe('wp:wake');

    await master.kill();
    const taken = await waitFor('the failover', () => redis.group.exec([set('after')]), 45_000);
    expect(taken).toEqual(['OK']);
    expect(await redis.group.exec([{ name: 'mget', args: ['before', 'after'] }])).toEqual([['v', 'v']]);

    await waitFor('the subscription on the new master', async () => {
      await redis.group.exec([{ name: 'publish', args: ['wp:wake', 'hello'] }]);
      return heard.includes('hello');
    });
    const info = await redis.client.info('server');
    expect(info).toContain(`tcp_port:${replica.port}`);
  }, 60_000);
});
