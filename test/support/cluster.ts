import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  countNumbers,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';

type Service = 'ingress' | 'policy' | 'delivery' | 'events';

/** Every service as a process of its own, or several of each, before one Redis and one next hop. */
export interface Cluster {
  readonly redis: TestRedis;
  readonly peer: SmtpPeer;
  readonly processes: Readonly<Record<Service, readonly WaypostProcess[]>>;
  /** Waits until every message has come to the next hop. @returns how many came more than once, all times beyond the first. */
  settled(messages: number, timeout?: number): Promise<number>;
  stop(): Promise<void>;
}

/** @param each processes of each service. */
export async function startCluster(each: number, config: Record<string, unknown> = {}): Promise<Cluster> {
  const dir = mkdtempSync(join(tmpdir(), 'waypost-cluster-'));
  const redis = await startRedis();
  const peer = await SmtpPeer.start();
  const start = (service: Service) =>
    startWaypost({
      redis: redis.url,
      services: [service],
      dir,
      listeners: service === 'ingress' ? [{ name: 'trusted' }] : [],
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
        delivery: { retry: { initial: '1s' } },
        telemetry: { log_level: 'warn' },
        ...config,
      },
    });
  const many = (service: Service) => Promise.all(Array.from({ length: each }, () => start(service)));
  const [ingress, policy, delivery, events] = await Promise.all([
    many('ingress'),
    many('policy'),
    many('delivery'),
    many('events'),
  ]);
  const processes = { ingress, policy, delivery, events };
  return {
    redis,
    peer,
    processes,
    settled: async (messages, timeout = 90_000) => {
      const numbers = () => countNumbers(peer.messages.map(({ body }) => body));
      await waitFor(
        `${messages} messages to arrive`,
        () => peer.messages.length >= messages && numbers().size >= messages,
        timeout,
      );
      return peer.messages.length - messages;
    },
    stop: async () => {
      await Promise.all(Object.values(processes).flatMap((list) => list.map((one) => one.stop())));
      await peer.stop();
      await redis.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
