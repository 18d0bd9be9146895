import { once } from 'node:events';
import type { Socket } from 'node:net';

/**
 * Reads from a socket until `complete` finds an answer in what came so far.
 * @param most octets of an answer at most.
 * @throws Error where the socket ends or the answer is too long before that.
 */
export function readAnswer<T>(
  socket: Socket,
  complete: (soFar: Buffer, ended: boolean) => T | undefined,
  most: number,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let soFar: Buffer = Buffer.alloc(0);
    let failure: Error | undefined;
    const finish = (settle: () => void) => {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      settle();
    };
    const attempt = (ended: boolean) => {
      try {
        const answer = complete(soFar, ended);
        if (answer !== undefined) finish(() => resolve(answer));
        else if (ended) finish(() => reject(failure ?? new Error('the connection was closed without an answer')));
        else if (soFar.length > most) finish(() => reject(new Error('the answer is too long')));
      } catch (error) {
        finish(() => reject(error as Error));
      }
    };
    const onData = (chunk: Buffer) => {
      soFar = Buffer.concat([soFar, chunk]);
      attempt(false);
    };
    const onEnd = () => attempt(true);
    const onError = (error: Error) => {
      failure = error;
    };
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
    if (socket.destroyed) onEnd();
  });
}

/** Writes and waits while the socket's buffer is full. @returns false where the other side does not read any more. */
export async function write(socket: Socket, octets: Buffer | string): Promise<boolean> {
  if (!socket.writable) return false;
  if (socket.write(octets)) return true;
  const stop = new AbortController();
  try {
    await Promise.race([
      once(socket, 'drain', { signal: stop.signal }),
      once(socket, 'close', { signal: stop.signal }),
    ]);
  } catch {
    return false;
  } finally {
    stop.abort();
  }
  return socket.writable;
}
