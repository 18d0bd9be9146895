/**
 * Waits until a question is answered with something true. A test says by this what it waits for, never for how long.
 * @returns the answer.
 * @throws after `timeout` ms, with `what` and the last answer.
 */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  timeout = 30_000,
): Promise<T> {
  const until = Date.now() + timeout;
  let last: unknown;
  do {
    try {
      const answer = await ask();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  } while (Date.now() < until);
  throw new Error(`waited ${timeout} ms for ${what}; last: ${last instanceof Error ? last.stack : String(last)}`);
}
