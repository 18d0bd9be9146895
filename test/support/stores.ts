import type { MessageMeta } from '@waypost/mail';
import { loadBullScripts } from '@waypost/queue';
import { openRedis, type RedisHandle } from '@waypost/redis';
import type { Draft } from '@waypost/spool';
import { newMessageId } from '@waypost/store';
import { startRedis, type TestRedis } from '@waypost/testkit';
import { redisConfig } from './redis-servers.js';

/** A Redis of a test's own, opened as a process of Waypost does. */
export interface Opened {
  readonly server: TestRedis;
  readonly redis: RedisHandle;
  /** Another connection, as another process has. */
  another(): Promise<RedisHandle>;
  stop(): Promise<void>;
}

export async function openedRedis(extra: readonly string[] = []): Promise<Opened> {
  const server = await startRedis(extra);
  const handles: RedisHandle[] = [];
  const another = async () => {
    const handle = await openRedis(redisConfig({ url: server.url }), { onError: () => undefined });
    handles.push(handle);
    await loadBullScripts(handle.client);
    return handle;
  };
  return {
    server,
    redis: await another(),
    another,
    stop: async () => {
      for (const handle of handles) await handle.close();
      await server.stop();
    },
  };
}

/** A message that has arrived with an inline body. */
export function arrival(
  recipients: readonly string[] = ['b@example.org'],
  meta: Partial<MessageMeta> = {},
): { meta: MessageMeta; draft: Draft } {
  const id = newMessageId();
  const body = Buffer.from(`Subject: ${id}\r\n\r\nhello\r\n`);
  const ref = { at: 'inline', size: body.length } as const;
  return {
    meta: {
      id,
      envelope: { sender: 'a@example.com', recipients: recipients.map((address) => ({ address })) },
      origin: { kind: 'relay', listener: 'trusted', protocol: 'ESMTP', remoteAddress: '127.0.0.1' },
      body: ref,
      receivedAt: Date.now(),
      hops: 0,
      ...meta,
    },
    draft: { id, ref, inline: body },
  };
}
