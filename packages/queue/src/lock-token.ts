let serial = 0;

/**
 * @returns a token for the lock of the jobs that one worker takes one after another. Two workers of a process have different
 *   ones, so that a job which one lost and the other took is seen to be no longer the first one's.
 */
export function lockToken(replica: string): string {
  serial += 1;
  return `${replica}#${serial.toString(36)}`;
}

/** @returns whether a lock is held by a worker of this process. */
export function isTokenOf(token: string | null, replica: string): boolean {
  return token?.startsWith(`${replica}#`) === true;
}
