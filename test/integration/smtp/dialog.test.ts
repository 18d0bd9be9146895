import { SmtpDialog } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, greet, type Relay, sendMessage, startRelay, toData } from '../../support/relay.js';

let relay: Relay;
let port: number;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [{ name: 'trusted', tls: 'starttls' }],
    config: { limits: { message_size: '64KiB', recipients: 5, errors_per_session: 6, commands_per_session: 60 } },
    peer: { extensions: ['PIPELINING', 'SIZE 1000000', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES'] },
  });
  port = relay.waypost.port('trusted');
});
afterAll(() => relay?.stop());

describe('what is offered', () => {
  it('greets at once and lists its extensions', async () => {
    const dialog = await SmtpDialog.open(port);
    expect(await dialog.reply()).toMatch(/^220 relay\.test ESMTP Waypost/);
    const lines = (await dialog.say('EHLO client.test')).split('\r\n').map((line) => line.slice(4));
    for (const extension of [
      'PIPELINING',
      '8BITMIME',
      'SMTPUTF8',
      'ENHANCEDSTATUSCODES',
      'DSN',
      'SIZE 65536',
      'STARTTLS',
    ]) {
      expect(lines).toContain(extension);
    }
    expect(lines.some((line) => line.startsWith('AUTH'))).toBe(false);
    expect(lines).not.toContain('REQUIRETLS');
    dialog.close();
  });

  it('offers REQUIRETLS under TLS only, and no second STARTTLS', async () => {
    const dialog = await greet(port);
    expect(await dialog.say('STARTTLS')).toMatch(/^220/);
    await dialog.upgrade();
    const lines = (await dialog.say('EHLO client.test')).split('\r\n').map((line) => line.slice(4));
    expect(lines).toContain('REQUIRETLS');
    expect(lines).not.toContain('STARTTLS');
    dialog.close();
  });

  it('answers commands that come in one packet, in order', async () => {
    const dialog = await greet(port);
    dialog.write('MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n');
    for (const code of ['250', '250', '250', '354']) expect((await dialog.reply()).slice(0, 3)).toBe(code);
    dialog.write('Subject: piped\r\n\r\nx\r\n.\r\nMAIL FROM:<a@example.com>\r\nRSET\r\nQUIT\r\n');
    for (const code of ['250', '250', '250', '221']) expect((await dialog.reply()).slice(0, 3)).toBe(code);
    expect((await arrival(relay.peer, 'piped')).rcpts).toHaveLength(2);
  });

  it('takes HELO, NOOP, RSET and VRFY as the standard has them', async () => {
    const dialog = await SmtpDialog.open(port);
    await dialog.reply();
    expect(await dialog.say('HELO client.test')).toMatch(/^250 /);
    expect(await dialog.say('NOOP')).toMatch(/^250 /);
    expect(await dialog.say('RSET')).toMatch(/^250 /);
    expect(await dialog.say('VRFY someone')).toMatch(/^25[02] /);
    dialog.close();
  });
});

describe('what is refused, and with which code', () => {
  it.each([
    ['an unknown command', ['FROB x'], /^50[02] 5\.5\.[12]/],
    ['MAIL without brackets or address', ['MAIL FROM:nobody'], /^501 5\.\d\.\d/],
    ['an unknown MAIL parameter', ['MAIL FROM:<a@example.com> FROB=1'], /^555 5\.5\.4/],
    ['an unknown RCPT parameter', ['MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.org> FROB=1'], /^555 5\.5\.4/],
    ['RCPT before MAIL', ['RCPT TO:<b@example.org>'], /^503 5\.5\.1/],
    ['DATA before RCPT', ['MAIL FROM:<a@example.com>', 'DATA'], /^503 5\.5\.1/],
    ['a second MAIL', ['MAIL FROM:<a@example.com>', 'MAIL FROM:<a@example.com>'], /^503 5\.5\.1/],
    ['an announced size over the limit', ['MAIL FROM:<a@example.com> SIZE=65537'], /^552 5\.3\.4/],
    ['a bad sender', ['MAIL FROM:<a@b@c>'], /^501 5\.1\.7/],
    ['a bad recipient', ['MAIL FROM:<a@example.com>', 'RCPT TO:<b@@example.org>'], /^501 5\.1\.3/],
    ['a recipient without a domain', ['MAIL FROM:<a@example.com>', 'RCPT TO:<root>'], /^501 5\.1\.3/],
    ['an international address without SMTPUTF8', ['MAIL FROM:<gr\u00fcn@example.com>'], /^553 5\.6\.7/],
    ['a broken ORCPT', ['MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.org> ORCPT=rfc822'], /^501 5\.\d\.\d/],
    ['REQUIRETLS in the clear', ['MAIL FROM:<a@example.com> REQUIRETLS'], /^5\d\d 5\.\d\.\d/],
  ])('%s', async (_, lines, expected) => {
    const dialog = await greet(port);
    let reply = '';
    for (const line of lines) reply = await dialog.say(line);
    expect(reply).toMatch(expected);
    // The session is still good for a proper message.
    await dialog.say('RSET');
    expect(await sendMessage(dialog, 'Subject: fine\r\n\r\nx\r\n')).toMatch(/^250 /);
    dialog.close();
  });

  it('answers 552 to a message that grows past the limit, and takes the next one', async () => {
    const dialog = await greet(port);
    const line = `${'x'.repeat(998)}\r\n`;
    expect(await sendMessage(dialog, line.repeat(70))).toMatch(/^552 5\.3\.4/);
    expect(await sendMessage(dialog, 'Subject: small\r\n\r\nx\r\n')).toMatch(/^250 /);
    dialog.close();
  });

  it('answers 452 to recipients past the limit, and delivers to the others', async () => {
    const dialog = await greet(port);
    await dialog.say('MAIL FROM:<a@example.com>');
    for (let i = 0; i < 5; i += 1) expect(await dialog.say(`RCPT TO:<r${i}@example.org>`)).toMatch(/^250/);
    expect(await dialog.say('RCPT TO:<r5@example.org>')).toMatch(/^452 4\.5\.3/);
    await dialog.say('DATA');
    dialog.write('Subject: many\r\n\r\nx\r\n.\r\n');
    expect(await dialog.reply()).toMatch(/^250/);
    expect((await arrival(relay.peer, 'many')).rcpts).toHaveLength(5);
    dialog.close();
  });

  it('ends a session that makes too many errors', async () => {
    const dialog = await greet(port);
    const replies = [];
    for (let i = 0; i < 7; i += 1) replies.push((await dialog.say('FROB')).slice(0, 3));
    expect(replies.at(-1)).toBe('421');
    await dialog.closed();
  });

  it('ends a session of too many commands', async () => {
    const dialog = await greet(port);
    let reply = '';
    for (let i = 0; i < 61 && !reply.startsWith('421'); i += 1) reply = await dialog.say('NOOP');
    expect(reply).toMatch(/^421 4\.7\.0/);
    await dialog.closed();
  });

  it('refuses a command line without end', async () => {
    const dialog = await greet(port);
    dialog.write('NOOP '.padEnd(70_000, 'x'));
    expect(await dialog.reply()).toMatch(/^(421|500|521)/);
    await dialog.closed();
  });
});

describe('what goes on to the next hop', () => {
  it('hands DSN parameters, BODY and SIZE on', async () => {
    const dialog = await greet(port);
    await dialog.say('MAIL FROM:<a@example.com> BODY=8BITMIME RET=HDRS ENVID=QQ+2B1');
    await dialog.say('RCPT TO:<b@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@example.org');
    await dialog.say('DATA');
    dialog.write('Subject: dsn\r\n\r\n\u00e4\r\n.\r\n');
    expect(await dialog.reply()).toMatch(/^250/);
    const message = await arrival(relay.peer, 'dsn');
    expect(message.mail).toMatch(/ BODY=8BITMIME/);
    expect(message.mail).toMatch(/ RET=HDRS/);
    expect(message.mail).toMatch(/ ENVID=QQ\+2B1/);
    expect(message.mail).toMatch(/ SIZE=\d+/);
    expect(message.rcpts[0]).toMatch(/ NOTIFY=SUCCESS,FAILURE/);
    expect(message.rcpts[0]).toMatch(/ ORCPT=rfc822;Bob\+2Bx@example\.org/);
    dialog.close();
  });

  it('takes international addresses with SMTPUTF8', async () => {
    const dialog = await greet(port);
    expect(await dialog.say('MAIL FROM:<gr\u00fcn@example.com> SMTPUTF8')).toMatch(/^250/);
    expect(await dialog.say('RCPT TO:<\u5f20@example.org>')).toMatch(/^250/);
    await dialog.say('DATA');
    dialog.write('Subject: \u5f20\r\n\r\nx\r\n.\r\n');
    expect(await dialog.reply()).toMatch(/^250/);
    const message = await arrival(relay.peer, '\u5f20');
    expect(message.mail).toMatch(/SMTPUTF8/);
    expect(message.rcpts[0]).toContain('\u5f20@example.org');
    dialog.close();
  });

  it('takes the null reverse-path', async () => {
    const dialog = await greet(port);
    expect(await sendMessage(dialog, 'Subject: null\r\n\r\nx\r\n', '')).toMatch(/^250/);
    expect((await arrival(relay.peer, 'null')).mail).toMatch(/^MAIL FROM:<>/);
    dialog.close();
  });

  it('forgets a message whose client goes away before the final dot', async () => {
    const dialog = await greet(port);
    await toData(dialog);
    dialog.write('Subject: half\r\n\r\nthis is no');
    dialog.close();
    const next = await greet(port);
    expect(await sendMessage(next, 'Subject: whole\r\n\r\nx\r\n')).toMatch(/^250/);
    await arrival(relay.peer, 'whole');
    expect(relay.peer.messages.some(({ body }) => body.includes('Subject: half'))).toBe(false);
    next.close();
  });

  it('stops a loop by its Received fields', async () => {
    const dialog = await greet(port);
    const hops = 'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n'.repeat(50);
    expect(await sendMessage(dialog, `${hops}Subject: loop\r\n\r\nx\r\n`)).toMatch(/^554 5\.4\.6/);
    const own = 'Received: from a\r\n\tby relay.test (Waypost) with SMTP; Mon, 1 Jan 2024 00:00:00 +0000\r\n'.repeat(4);
    expect(await sendMessage(dialog, `${own}Subject: loop\r\n\r\nx\r\n`)).toMatch(/^554 5\.4\.6/);
    dialog.close();
  });
});
