import { connect, type Socket } from 'node:net';

/** Where a filter listens: a TCP address or a Unix socket. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/** Connects; the socket is destroyed once the signal is aborted. @throws Error */
export function openSocket(endpoint: Endpoint, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(endpoint);
    const stop = () => socket.destroy(new Error('out of time'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', stop));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // Who reads or writes hears of errors by 'close'; without a listener they would end the process.
      socket.on('error', () => {});
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}
