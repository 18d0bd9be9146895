import { isIPv6, type Socket } from 'node:net';
import { type Endpoint, openSocket } from './endpoint.js';
import { write } from './exchange.js';
import { fieldsIn } from './fields.js';
import { createGuard, FilterRefused, type GuardObserver, type GuardSettings } from './guard.js';
import { type FilterMessage, wholeBody } from './message.js';
import { type Changes, type MilterVerdict, noteChange, readStep, type StepAnswer } from './milter-answer.js';
import { ACTIONS, numbers, packet, readPackets, STEPS, texts, VERSION } from './milter-wire.js';

export interface MilterSettings extends GuardSettings {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly maxSize: number;
  /** The name we go by. */
  readonly hostname: string;
}

export interface MilterFilter {
  /** @throws FilterRefused where the message is over `maxSize`, FilterUnavailable where the milter does not answer. */
  scan(message: FilterMessage): Promise<MilterVerdict>;
}

/** Octets of one body packet (libmilter's MILTER_CHUNK_SIZE). */
const CHUNK = 65_535;

/**
 * Takes a message through all steps of a mail filter of the milter protocol, version 6, as the MTA that accepted it: one
 * connection a message. Bodies, senders and recipients are not for milters to change: asking for that is a failure.
 */
export function createMilter(settings: MilterSettings, observer: GuardObserver): MilterFilter {
  const guard = createGuard(settings.name, settings, observer);
  return {
    scan: async (message) => {
      if (message.size > settings.maxSize) {
        throw new FilterRefused(`${message.size} octets are over the limit of ${settings.maxSize}`);
      }
      const body = await wholeBody(message);
      return guard.run(async (signal) => {
        const socket = await openSocket(settings.endpoint, signal);
        try {
          const verdict = await converse(socket, message, body, settings.hostname);
          socket.end(packet('Q'));
          return verdict;
        } finally {
          // A milter that is told goodbye closes by itself; one that fails is not waited for.
          socket.destroySoon();
        }
      });
    },
  };
}

/** What one conversation works with. */
interface Talk {
  readonly message: FilterMessage;
  readonly body: Buffer;
  readonly hostname: string;
  /** Steps that the milter left out or does not answer. */
  readonly left: number;
  readonly socket: Socket;
  readonly packets: ReturnType<typeof readPackets>;
}

async function converse(
  socket: Socket,
  message: FilterMessage,
  body: Buffer,
  hostname: string,
): Promise<MilterVerdict> {
  const packets = readPackets(socket);
  const left = await negotiate(socket, packets);
  const talk: Talk = { message, body, hostname, left, socket, packets };
  const early = await sayWho(talk);
  if (early) return verdictOf(early);
  const refused: MilterVerdict['refused'][number][] = [];
  for (const [i, address] of message.recipients.entries()) {
    const answer = await say(talk, recipientPacket(message.id, address), STEPS.noRcpt, STEPS.silentRcpt);
    if (answer.kind === 'ends' && answer.action !== 'discard') {
      refused.push({ i, action: answer.action, ...textOf(answer) });
    } else if (answer.kind !== 'go') return verdictOf(answer);
  }
  // Nobody is left to whom it could go.
  if (refused.length === message.recipients.length) return { ...NOTHING, refused };
  const within = await sayContent(talk);
  return { ...(within ? verdictOf(within) : await finish(talk)), refused };
}

async function negotiate(socket: Socket, packets: Talk['packets']): Promise<number> {
  const offered = Object.values(STEPS).reduce((all, flag) => all | flag, 0);
  const actions = ACTIONS.addHeaders | ACTIONS.changeHeaders | ACTIONS.quarantine;
  socket.write(packet('O', numbers(VERSION, actions, offered)));
  const { code, data } = await packets.next();
  // Some claim more actions than were offered: what they then ask for is what counts.
  if (code !== 'O' || data.length < 12) throw new Error('it did not negotiate');
  return data.readUInt32BE(8);
}

/**
 * Takes one step.
 * @param leave flag of a milter that does not want it; `silent` of one that does not answer it.
 */
async function say(
  { socket, packets, left }: Talk,
  octets: Buffer,
  leave: number,
  silent: number,
): Promise<StepAnswer> {
  if (left & leave) return GO;
  await write(socket, octets);
  if (left & silent) return GO;
  for (;;) {
    const answer = readStep(await packets.next());
    if (answer) return answer;
  }
}

/** @returns what ended it, where connection, HELO or sender did. */
async function sayWho(talk: Talk): Promise<StepAnswer | undefined> {
  const { helo = '', sender, user, id, remoteAddress: ip } = talk.message;
  const about = { j: talk.hostname, '{daemon_name}': talk.hostname, v: 'Waypost' };
  const named = { i: id, '{auth_authen}': user, '{mail_addr}': sender };
  const steps: [Buffer, number, number][] = [
    [Buffer.concat([macros('C', about), connectPacket(ip)]), STEPS.noConnect, STEPS.silentConnect],
    [packet('H', texts(helo)), STEPS.noHelo, STEPS.silentHelo],
    [Buffer.concat([macros('M', named), packet('M', texts(`<${sender}>`))]), STEPS.noMail, STEPS.silentMail],
  ];
  for (const [octets, leave, silent] of steps) {
    const answer = await say(talk, octets, leave, silent);
    if (answer.kind !== 'go') return answer;
  }
  return undefined;
}

/** @returns what ended it, where a step before the end of the message did. */
async function sayContent(talk: Talk): Promise<StepAnswer | undefined> {
  const { body, left } = talk;
  const { fields, bodyAt } = fieldsIn(body, (left & STEPS.headerSpace) !== 0);
  const steps: [Buffer, number, number][] = [
    [packet('T'), STEPS.noData, STEPS.silentData],
    ...fields.map(({ name, value }): [Buffer, number, number] => [
      packet('L', texts(name, value)),
      STEPS.noHeaders,
      STEPS.silentHeader,
    ]),
    [packet('N'), STEPS.noEndOfHeaders, STEPS.silentEndOfHeaders],
  ];
  for (const [octets, leave, silent] of steps) {
    const answer = await say(talk, octets, leave, silent);
    if (answer.kind !== 'go') return answer;
  }
  for (let at = bodyAt; at < body.length; at += CHUNK) {
    const answer = await say(talk, packet('B', body.subarray(at, at + CHUNK)), STEPS.noBody, STEPS.silentBody);
    if (answer.kind === 'skip') return undefined;
    if (answer.kind !== 'go') return answer;
  }
  return undefined;
}

/** Says that the message is whole, and takes what the milter asks for then. */
async function finish({ socket, packets, message }: Talk): Promise<MilterVerdict> {
  const changes: Changes = { add: [], change: [], quarantine: undefined };
  await write(socket, Buffer.concat([macros('E', { i: message.id }), packet('E')]));
  for (;;) {
    const next = await packets.next();
    const answer = readStep(next);
    if (!answer) noteChange(next, changes);
    else if (answer.kind === 'ends') return verdictOf(answer);
    else {
      const { add, change, quarantine } = changes;
      const kept = quarantine === undefined ? {} : { action: 'quarantine' as const, text: quarantine };
      return { ...NOTHING, add, change, ...kept };
    }
  }
}

/** Values that milters ask for by the names sendmail has for them. */
function macros(about: string, values: Record<string, string | undefined>): Buffer {
  const given = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  return packet('D', about, texts(...given));
}

function connectPacket(ip: string | undefined): Buffer {
  if (ip === undefined) return packet('C', texts('localhost'), 'U');
  const six = isIPv6(ip);
  const noPort = Buffer.from([0, 0]);
  return packet('C', texts(`[${ip}]`), six ? '6' : '4', noPort, texts(six ? `IPv6:${ip}` : ip));
}

const recipientPacket = (id: string, address: string) =>
  Buffer.concat([macros('R', { i: id, '{rcpt_addr}': address }), packet('R', texts(`<${address}>`))]);

function verdictOf(answer: StepAnswer): MilterVerdict {
  return answer.kind === 'ends' ? { ...NOTHING, action: answer.action, ...textOf(answer) } : NOTHING;
}

const GO: StepAnswer = { kind: 'go' };
const NOTHING: MilterVerdict = { action: 'pass', refused: [], add: [], change: [] };
const textOf = ({ text }: { readonly text?: string }) => (text === undefined ? {} : { text });
