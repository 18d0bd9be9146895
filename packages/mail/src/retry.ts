/** How attempts are spaced; times in ms, jitter as a part from 0 to 1. */
export interface RetryPolicy {
  readonly initial: number;
  readonly factor: number;
  readonly max: number;
  readonly jitter: number;
  /** Delays after a greylisting answer, of the first attempt, the second …; after the last the others hold. */
  readonly greylist?: readonly number[];
}

/**
 * A last attempt is not worth making when it comes this soon after the one before, as a part of `initial` (or of the
 * age) where that is shorter.
 */
const TOO_SOON = 0.01;

/**
 * When to try again after the `attempt`-th attempt failed for now: exponential back-off with jitter; the last try is
 * made when the message comes of age.
 * @param message attempts made so far (1 after the first), arrival in ms since the epoch, age in ms at which it expires, and
 *   whether it was put off for being unknown.
 * @param now ms since the epoch.
 * @param random from 0 to 1.
 * @returns ms since the epoch, or undefined when the message has expired.
 */
export function nextAttempt(
  policy: RetryPolicy,
  message: {
    readonly attempt: number;
    readonly receivedAt: number;
    readonly maxAge: number;
    readonly greylisted?: boolean;
  },
  now: number,
  random = Math.random(),
): number | undefined {
  const expires = message.receivedAt + message.maxAge;
  // Also catches a last attempt that a clock running ahead made a moment early.
  if (expires - now <= Math.min(policy.initial, message.maxAge) * TOO_SOON) return undefined;
  // After greylisting it is tried sooner than it would be, never later.
  const soon = message.greylisted ? policy.greylist?.[message.attempt - 1] : undefined;
  const usual = Math.min(policy.max, policy.initial * policy.factor ** Math.max(0, message.attempt - 1));
  const delay = Math.min(usual, soon ?? usual);
  return Math.min(expires, Math.round(now + delay * (1 + policy.jitter * (random * 2 - 1))));
}
