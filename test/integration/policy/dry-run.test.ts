import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { TEST_KEY } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { type Relay, startRelay } from '../../support/relay.js';

/** A key of one tenant. */
const BANK = 'wp_bank_0123456789abcdef0123456789ab';
let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    config: {
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'bank', secret: BANK, scopes: ['admin'], tenant: 'bank' },
      ],
      rules: [
        { name: 'once', do: { limit: { rate: '1/h', per: 'sender', over: 'reject' } } },
        {
          name: 'mine',
          when: { recipient: 'b@example.org' },
          do: { add_header: { name: 'X-Mine', value: '{tenant}' }, tag: 'mine' },
        },
        {
          name: 'night',
          when: { time: { from: '00:00', to: '24:00', days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] } },
          do: { score: 4 },
        },
        { name: 'no-c', when: { recipient: 'c@example.org', tenant: 'bank' }, do: { reject: 'not c' } },
      ],
    },
  });
});
afterAll(() => relay?.stop());

const MESSAGE = 'From: a@example.com\r\nTo: b@example.org, c@example.org\r\nSubject: x\r\n\r\nhello\r\n';
const check = (query: string, body: unknown = MESSAGE, key?: string) =>
  call(relay.waypost.http, `/v1/policy/check?${query}`, {
    body,
    headers: { 'content-type': 'message/rfc822' },
    ...(key === undefined ? {} : { key }),
  });

describe('a dry run', () => {
  it('tells each step, and changes nothing however often it is made', async () => {
    for (let time = 0; time < 3; time += 1) {
      const { status, body } = await check('tenant=bank&listener=trusted');
      expect(status).toBe(200);
      expect(body.verdict).toBe('pass');
      const rules = body.steps.find(({ check: name }: { check: string }) => name === 'rules');
      expect(rules.notes).toEqual([
        'rule once fits',
        'rule mine fits b@example.org',
        'rule night fits',
        'rule no-c fits c@example.org',
      ]);
      expect(rules.symbols).toEqual([{ name: 'RULE_NIGHT', score: 4, reason: 'the rule night' }]);
      expect(body.refused).toMatchObject([{ recipient: 'c@example.org', state: 'rejected', reply: { text: 'not c' } }]);
      expect(body.leaves).toMatchObject([
        { recipients: ['b@example.org'], lanes: [`smtp:127.0.0.1:${relay.peer.port}`], replaced: false },
      ]);
      expect(body.leaves[0].added_headers).toContain('X-Mine: bank');
      expect(body.tags).toEqual([{ name: 'mine', value: '' }]);
    }
    expect(relay.peer.messages).toHaveLength(0);
  });

  it('needs a key of scope admin, a listener that is there, and a message', async () => {
    expect((await check('', MESSAGE, 'wp_wrong_0123456789abcdef0123456789ab')).status).toBe(401);
    expect((await check('listener=none')).body.detail).toMatch(/no listener "none"/);
    expect((await check('from=nobody')).status).toBe(422);
    expect((await call(relay.waypost.http, '/v1/policy/check', { body: {} })).status).toBe(415);
  });

  it('with a key of one tenant is about its mail alone', async () => {
    expect(await check('tenant=other', MESSAGE, BANK)).toMatchObject({
      status: 403,
      body: { name: 'restricted_api_key' },
    });
    const { body } = await check('', MESSAGE, BANK);
    expect(body.refused).toMatchObject([{ recipient: 'c@example.org', reply: { text: 'not c' } }]);
  });

  it('is printed by the command line', async () => {
    const file = join(relay.waypost.dir, 'message.eml');
    writeFileSync(file, MESSAGE);
    const main = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
    const args = [
      main,
      'policy',
      'test',
      file,
      '--url',
      relay.waypost.http,
      '--to',
      'c@example.org',
      '--tenant',
      'bank',
    ];
    const env = { ...process.env, WAYPOST_API_KEY: TEST_KEY };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    expect(stdout).toMatch(/^rules +pass +[\d.]+ ms/m);
    expect(stdout).toContain('rule no-c fits');
    expect(stdout).toMatch(/^reject +score 4\.00$/m);
    expect(stdout).toContain('c@example.org: rejected, 550 5.7.1 not c');
  });
});
