import { connect, isIP } from 'node:net';
import type { SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import type { Hop } from './hop.js';

/**
 * @param socket already at the host, through a proxy.
 * @returns what nodemailer is to be told.
 */
export function toOptions(hop: Hop, socket = hop.unix ? connect(hop.address) : undefined): SMTPConnectionOptions {
  const { timeouts } = hop;
  const longest = Math.max(timeouts.command, timeouts.data, timeouts.final_dot);
  return {
    host: hop.address,
    port: hop.port,
    secure: hop.implicit === true,
    ignoreTLS: hop.tls === 'none',
    requireTLS: !hop.implicit && (hop.tls === 'required' || hop.tls === 'verify'),
    opportunisticTLS: hop.tls === 'opportunistic',
    name: hop.ehlo,
    lmtp: hop.lmtp === true,
    connectionTimeout: timeouts.connect,
    greetingTimeout: timeouts.greeting,
    socketTimeout: longest,
    logger: false,
    allowInternalNetworkInterfaces: true,
    tls: { rejectUnauthorized: hop.tls === 'verify', minVersion: hop.tls === 'verify' ? 'TLSv1.2' : 'TLSv1' },
    ...(isIP(hop.host) ? {} : { servername: hop.host }),
    ...(hop.localAddress ? { localAddress: hop.localAddress } : {}),
    ...(socket ? { connection: socket } : {}),
  };
}
