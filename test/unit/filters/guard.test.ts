import { type CallResult, createGuard, FilterRefused, FilterUnavailable } from '@waypost/filters';
import { describe, expect, it } from 'vitest';

function guarded(settings: { concurrency?: number; timeout?: number } = {}) {
  let clock = 0;
  const results: CallResult[] = [];
  const states: string[] = [];
  const guard = createGuard(
    'scanner',
    { timeout: 5_000, concurrency: 4, failures: 3, coolDown: 1_000, ...settings },
    { called: (result) => results.push(result), state: (state) => states.push(state) },
    () => clock,
  );
  const fail = () => guard.run(() => Promise.reject(new Error('refused'))).catch((error: unknown) => error);
  return { guard, results, states, fail, pass: (ms: number) => (clock += ms) };
}

describe('the guard of a filter', () => {
  it('opens after so many failures in a row, and then calls nobody', async () => {
    const { guard, fail, results, states } = guarded();
    await fail();
    await fail();
    await guard.run(async () => 'a success starts the count anew');
    for (let i = 0; i < 3; i++) await fail();
    let called = false;
    const error = await guard
      .run(async () => {
        called = true;
      })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FilterUnavailable);
    expect(called).toBe(false);
    expect(results).toEqual(['failed', 'failed', 'ok', 'failed', 'failed', 'failed', 'open']);
    expect(states).toEqual(['closed', 'open']);
  });

  it('lets one call try again after a while; its success closes it', async () => {
    const { guard, fail, pass, states } = guarded();
    for (let i = 0; i < 3; i++) await fail();
    pass(1_000);
    const probe = Promise.withResolvers<string>();
    const first = guard.run(() => probe.promise);
    const second = await guard.run(async () => 'too early').catch((error: FilterUnavailable) => error.result);
    probe.resolve('back');
    expect([await first, second]).toEqual(['back', 'open']);
    expect(await guard.run(async () => 'again')).toBe('again');
    expect(states).toEqual(['closed', 'open', 'half-open', 'closed']);
  });

  it('opens again at once where the try fails', async () => {
    const { fail, pass, states, guard } = guarded();
    for (let i = 0; i < 3; i++) await fail();
    pass(1_000);
    await fail();
    expect(states).toEqual(['closed', 'open', 'half-open', 'open']);
    expect(await guard.run(async () => 'x').catch((error: FilterUnavailable) => error.result)).toBe('open');
  });

  it('counts a message that the filter does not take for no failure', async () => {
    const { guard, states } = guarded();
    for (let i = 0; i < 5; i++) {
      const error = await guard
        .run(() => Promise.reject(new FilterRefused('too large')))
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FilterRefused);
    }
    expect(states).toEqual(['closed']);
  });

  it('has no more calls at once than it may, and serves the others in their order', async () => {
    const { guard } = guarded({ concurrency: 2 });
    const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
    const begun: number[] = [];
    const calls = gates.map((gate, at) =>
      guard.run(() => {
        begun.push(at);
        return gate.promise;
      }),
    );
    await Promise.resolve();
    expect(begun).toEqual([0, 1]);
    gates[1]?.resolve();
    await calls[1];
    await Promise.resolve();
    expect(begun).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    await Promise.all(calls);
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('waits for no answer longer than its time, nor for a place', async () => {
    const { guard, results } = guarded({ concurrency: 1, timeout: 20 });
    let aborted = false;
    const never = guard.run(
      (signal) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    );
    const waiting = guard.run(async () => 'late');
    await expect(never).rejects.toThrow('gave no answer');
    await expect(waiting.catch(({ result }: FilterUnavailable) => result)).resolves.toMatch(/busy|late/);
    expect(aborted).toBe(true);
    expect(results[0]).toBe('timeout');
  });
});
