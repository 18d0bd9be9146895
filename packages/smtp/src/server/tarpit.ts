import type { Socket } from 'node:net';

/** Why a connection is not let in. */
export interface Refusal {
  /** The line it is told, without CRLF; nothing where undefined. */
  readonly reply: string | undefined;
  /** It waits for that. */
  readonly slow: boolean;
}

export interface TarpitSettings {
  /** ms until the refusal; 0 is at once. */
  readonly delay: number;
  /** Connections that wait at a time. */
  readonly sockets: number;
}

/** For the refusal to arrive and the client to close its side, ms. */
const LINGER = 1000;

/**
 * Lets refused connections wait for their refusal, so that whoever guesses at secrets gets on slowly. A socket that waits is
 * not read and has no session; there are so many at a time, and the others are refused at once.
 */
export class Tarpit {
  readonly #held = new Set<Socket>();

  /** @param onChange told how many wait. */
  constructor(
    private readonly settings: () => TarpitSettings,
    private readonly onChange: (held: number) => void = () => undefined,
  ) {}

  get size(): number {
    return this.#held.size;
  }

  /** Refuses a connection, now or later; the socket is this one's from here on. */
  hold(socket: Socket, { reply, slow }: Refusal): void {
    const { delay, sockets } = this.settings();
    socket.on('error', () => undefined);
    if (!slow || delay === 0 || this.#held.size >= sockets) return refuse(socket, reply);
    socket.pause();
    socket.setTimeout(0);
    this.#held.add(socket);
    this.onChange(this.#held.size);
    const timer = setTimeout(() => refuse(socket, reply), delay);
    timer.unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#held.delete(socket);
      this.onChange(this.#held.size);
    });
  }

  /** Lets all go at once. */
  close(): void {
    for (const socket of this.#held) socket.destroy();
  }
}

function refuse(socket: Socket, reply: string | undefined): void {
  if (reply === undefined) return void socket.destroy();
  socket.end(`${reply}\r\n`);
  // What the client still sends is thrown away; the line would be lost with unread octets at the close.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER).unref();
}
