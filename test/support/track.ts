import { type PeerMessage, type SmtpPeer, waitFor } from '@waypost/testkit';
import { type ParsedMail, simpleParser } from 'mailparser';
import { call } from './http.js';
import { greet, type Relay } from './relay.js';

export interface Sent {
  readonly from?: string;
  readonly to?: string | readonly string[];
  /** Parameters of MAIL, such as `RET=HDRS`. */
  readonly mail?: string;
  /** Parameters of each RCPT. */
  readonly rcpt?: string;
  readonly body?: string;
  /** In place of the From field that names the sender. */
  readonly header?: string;
  readonly listener?: string;
  /** Its listener speaks TLS from the first octet. */
  readonly secure?: boolean;
}

/** Submits a message, over the trusted listener unless another is named. @returns its id. */
export async function submit(relay: Relay, subject: string, sent: Sent = {}): Promise<string> {
  const dialog = await greet(relay.waypost.port(sent.listener ?? 'trusted'), { secure: sent.secure === true });
  const {
    from = 'a@example.com',
    to = 'b@example.org',
    mail = '',
    rcpt = '',
    body = 'hello\r\n',
    header = `From: ${from}`,
  } = sent;
  const say = async (line: string) => {
    const reply = await dialog.say(line);
    if (!/^[23]/.test(reply)) throw new Error(`${line}: ${reply}`);
  };
  await say(`MAIL FROM:<${from}>${mail && ` ${mail}`}`);
  for (const address of [to].flat()) await say(`RCPT TO:<${address}>${rcpt && ` ${rcpt}`}`);
  await say('DATA');
  dialog.write(`${header}\r\nSubject: ${subject}\r\n\r\n${body}.\r\n`);
  const reply = await dialog.reply();
  dialog.close();
  const id = /queued as ([0-9a-f-]{36})/.exec(reply)?.[1];
  if (!id) throw new Error(`not accepted: ${reply}`);
  return id;
}

export interface RecipientView {
  readonly address: string;
  readonly state: string;
  readonly attempts: number;
  readonly cause: string | null;
  readonly last_response: { readonly code: number; readonly enhanced?: string; readonly text: string } | null;
}

/** @returns the recipients' states as the API tells them. */
export async function recipients(relay: Relay, id: string): Promise<RecipientView[]> {
  return (await call(relay.waypost.http, `/v1/emails/${id}`)).body.recipients as RecipientView[];
}

/** Waits until the recipients' states are these, in order of the envelope. */
export async function states(relay: Relay, id: string, ...expected: string[]): Promise<RecipientView[]> {
  let last = '';
  return waitFor(`the states ${expected.join(', ')} of ${id}`, async () => {
    const list = await recipients(relay, id);
    last = JSON.stringify(list.map(({ state, last_response }) => [state, last_response?.text]));
    if (list.map(({ state }) => state).join() === expected.join()) return list;
    throw new Error(last);
  });
}

/** @returns the types of a message's events in order. */
export async function eventTypes(relay: Relay, id: string): Promise<string[]> {
  const { body } = await call(relay.waypost.http, `/v1/emails/${id}/events`);
  return (body.data as { type: string }[]).map(({ type }) => type);
}

export interface Dsn {
  readonly message: PeerMessage;
  readonly mail: ParsedMail;
  /** message/delivery-status: the fields about the message, then those of each recipient. */
  readonly status: readonly Record<string, string>[];
  /** What is returned of the original. */
  readonly returned: string;
  readonly returnedType: string;
}

/** Waits for the DSN about a message, at the next hop where it goes like any mail, and takes it apart (RFC 3464). */
export async function dsnOf(peer: SmtpPeer, id: string): Promise<Dsn> {
  const message = await waitFor(`a DSN about ${id}`, () =>
    peer.messages.find(({ mail, body }) => mail.startsWith('MAIL FROM:<>') && body.includes(id)),
  );
  const mail = await simpleParser(message.body, { keepDeliveryStatus: true });
  const part = (type: RegExp) => mail.attachments.find(({ contentType }) => type.test(contentType));
  const status = part(/^message\/(?:global-)?delivery-status$/)?.content.toString() ?? '';
  const returned = part(/^(?:message\/rfc822|text\/rfc822-headers|message\/global)/);
  const blocks = status.split(/\r?\n\r?\n/).filter((block) => block.trim() !== '');
  const fields = (block: string) =>
    Object.fromEntries(
      block
        .replace(/\r?\n[ \t]+/g, ' ')
        .split(/\r?\n/)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    ) as Record<string, string>;
  return {
    message,
    mail,
    status: blocks.map(fields),
    returned: returned?.content.toString('latin1') ?? '',
    returnedType: returned?.contentType ?? '',
  };
}
