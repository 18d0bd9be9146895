import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SmtpDialog } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { playDialog } from '../../support/cmy.js';
import { fixtures } from '../../support/fixtures.js';
import { greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';

const folder = fixtures('chasquid-smtp');

/** Dialogs that do not apply, and why. */
const LEFT_OUT: Record<string, string> = {
  't-04-aliases--test_chasquid_util': 'drives its command-line tool',
  't-05-null_address--sendmail': 'sends UTF-8 in a header section, which says nothing about the dialog',
  't-12-minor_dialogs--auth_multi_dialog': 'logs in as a user of its own',
  't-12-minor_dialogs--auth_not_tls': 'a relay listener has no AUTH at all; see kinds.test.ts',
  't-12-minor_dialogs--auth_too_many_failures': 'logs in as a user of its own',
  't-12-minor_dialogs--bad_data': 'a relay does not parse the header section it hands on',
};

describe.skipIf(!folder)("chasquid's dialogs (needs the fixture chasquid-smtp)", () => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay({ config: { limits: { message_size: '1MiB' } } });
  });
  afterAll(() => relay?.stop());
  const dialogs = folder ? readdirSync(join(folder, 'dialogs')).map((name) => name.replace(/\.cmy$/, '')) : [];

  it.each(dialogs.filter((name) => !LEFT_OUT[name]))('%s', async (name) => {
    const text = readFileSync(join(folder as string, 'dialogs', `${name}.cmy`), 'utf8');
    await playDialog(text, () => SmtpDialog.open(relay.waypost.port('trusted')));
  });

  it('survives every fuzz seed, and still takes mail', async () => {
    const seeds = join(folder as string, 'fuzz', 'FuzzConnection');
    for (const seed of readdirSync(seeds)) {
      const text = readFileSync(join(seeds, seed), 'utf8');
      const data = [...text.matchAll(/^(?:string|\[\]byte)\((".*")\)$/gm)].map(([, json = '""']) => {
        try {
          return JSON.parse(json) as string;
        } catch {
          return json;
        }
      });
      const dialog = await SmtpDialog.open(relay.waypost.port('trusted'));
      for (const part of data) dialog.write(part);
      dialog.raw.end();
      await dialog.closed();
    }
    const dialog = await greet(relay.waypost.port('trusted'));
    expect(await sendMessage(dialog, 'Subject: alive\r\n\r\nx\r\n')).toMatch(/^250/);
    dialog.close();
  });
});
