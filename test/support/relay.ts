import {
  SmtpDialog,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';

/** One Waypost process before a scripted next hop. */
export interface Relay {
  readonly redis: TestRedis;
  readonly peer: SmtpPeer;
  readonly waypost: WaypostProcess;
  stop(): Promise<void>;
}

export interface RelayOptions {
  readonly listeners?: Parameters<typeof startWaypost>[0]['listeners'];
  readonly config?: Record<string, unknown>;
  readonly peer?: Parameters<typeof SmtpPeer.start>[0];
}

export async function startRelay({ listeners, config, peer: options }: RelayOptions = {}): Promise<Relay> {
  const redis = await startRedis();
  const peer = await SmtpPeer.start(options);
  const waypost = await startWaypost({
    redis: redis.url,
    listeners: listeners ?? [{ name: 'trusted' }],
    config: {
      routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
      delivery: { retry: { initial: '1s', jitter: 0 } },
      ...config,
    },
  });
  return {
    redis,
    peer,
    waypost,
    stop: async () => {
      await waypost.stop();
      await peer.stop();
      await redis.stop();
    },
  };
}

/** A dialog that has said EHLO. */
export async function greet(
  port: number,
  { localAddress, secure = false }: { localAddress?: string; secure?: boolean } = {},
): Promise<SmtpDialog> {
  const dialog = secure ? await SmtpDialog.openTls(port) : await SmtpDialog.open(port, localAddress);
  await dialog.reply();
  await dialog.say('EHLO client.test');
  return dialog;
}

/** Opens a transaction up to the 354 of DATA. */
export async function toData(dialog: SmtpDialog, from = 'a@example.com', to = 'b@example.org'): Promise<void> {
  for (const line of [`MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA']) {
    const reply = await dialog.say(line);
    if (!/^[23]/.test(reply)) throw new Error(`${line}: ${reply}`);
  }
}

/** Sends one message, already dot-stuffed and ended by CRLF. @returns the reply to the final dot. */
export async function sendMessage(
  dialog: SmtpDialog,
  body: string | Buffer,
  from?: string,
  to?: string,
): Promise<string> {
  await toData(dialog, from, to);
  dialog.write(body);
  dialog.write('.\r\n');
  return dialog.reply();
}

/** Waits for the message of a subject; others may come before it from tests that did not wait. */
export async function arrival(peer: SmtpPeer, subject: string) {
  const line = `\r\nSubject: ${subject}\r\n`;
  return waitFor(`"${subject}" at the next hop`, () => peer.messages.find(({ body }) => body.includes(line)));
}

/** @returns the message without the fields that the relay put before it. */
export function withoutTrace(body: Buffer): Buffer {
  const text = body.toString('latin1');
  const trace =
    /^(?:(?:X-Waypost-Id|X-Traceparent|Received|Authentication-Results|X-Spam-[A-Za-z]+):(?:[^\r\n]|\r\n[ \t])*\r\n)+/.exec(
      text,
    );
  return body.subarray(trace?.[0].length ?? 0);
}
