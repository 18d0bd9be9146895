import { type DsnOccasion, decideDsn, type Notify, wantsDsn } from '@waypost/mail';
import { describe, expect, test } from 'vitest';

const sender = 'ann@x.test';
const one = (occasion: Omit<DsnOccasion, 'i'>, message: { sender: string; automatic?: boolean } = { sender }) =>
  decideDsn(message, [{ i: 0, ...occasion }]).map((decision) => decision.action);

describe('wantsDsn', () => {
  test.each<[readonly Notify[] | undefined, string]>([
    [undefined, 'failed,delayed'],
    [['NEVER'], ''],
    [['SUCCESS'], 'delivered,relayed'],
    [['FAILURE'], 'failed'],
    [['DELAY'], 'delayed'],
    [['SUCCESS', 'FAILURE', 'DELAY'], 'failed,delayed,delivered,relayed'],
  ])('NOTIFY=%s asks for %j', (notify, expected) => {
    const actions = (['failed', 'delayed', 'delivered', 'relayed'] as const).filter((action) =>
      wantsDsn(action, sender, notify),
    );
    expect(actions.join()).toBe(expected);
  });

  test('never for a null reverse-path, whatever NOTIFY says', () =>
    expect(wantsDsn('failed', '', ['FAILURE'])).toBe(false));
});

describe('decideDsn', () => {
  test('success is told by whoever is last to know', () => {
    const notify: Notify[] = ['SUCCESS'];
    expect(one({ event: 'delivered', takenBy: 'mailbox', notify })).toEqual(['delivered']);
    expect(one({ event: 'delivered', takenBy: 'other-host', notify })).toEqual(['relayed']);
    expect(one({ event: 'delivered', takenBy: 'dsn-host', notify })).toEqual([]);
    expect(one({ event: 'delivered', takenBy: 'mailbox' })).toEqual([]);
  });

  test('a delay is told once, and to machines and lists only when they ask', () => {
    expect(one({ event: 'delayed' })).toEqual(['delayed']);
    expect(one({ event: 'delayed', delayNotified: true })).toEqual([]);
    expect(one({ event: 'delayed' }, { sender, automatic: true })).toEqual([]);
    expect(one({ event: 'delayed', notify: ['DELAY'] }, { sender, automatic: true })).toEqual(['delayed']);
  });

  test('a failure is told to lists too, but never for a DSN', () => {
    expect(one({ event: 'failed' }, { sender, automatic: true })).toEqual(['failed']);
    expect(one({ event: 'failed' }, { sender: '' })).toEqual([]);
  });

  test('recipients of one action share a DSN', () => {
    expect(
      decideDsn({ sender }, [
        { i: 0, event: 'failed' },
        { i: 1, event: 'delayed' },
        { i: 2, event: 'failed', notify: ['NEVER'] },
        { i: 3, event: 'failed' },
      ]),
    ).toEqual([
      { action: 'failed', recipients: [0, 3] },
      { action: 'delayed', recipients: [1] },
    ]);
  });
});
