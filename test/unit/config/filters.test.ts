import { loadConfig, parseEndpoint } from '@waypost/config';
import { describe, expect, it } from 'vitest';

const load = (text: string) => loadConfig({ text, env: {} });

describe('addresses of filters', () => {
  it.each([
    ['127.0.0.1:3310', { host: '127.0.0.1', port: 3310 }],
    ['tcp://clamd:3310', { host: 'clamd', port: 3310 }],
    ['[::1]:783', { host: '::1', port: 783 }],
    ['unix:/run/clamd.ctl', { path: '/run/clamd.ctl' }],
    ['/run/clamd.ctl', { path: '/run/clamd.ctl' }],
    ['inet:11332@127.0.0.1', { host: '127.0.0.1', port: 11332 }],
    ['local:/run/milter', { path: '/run/milter' }],
  ])('%s', (text, endpoint) => expect(parseEndpoint(text)).toEqual(endpoint));

  it.each(['clamd', 'host:0', 'host:70000', ''])('"%s" is none', (text) => {
    expect(() => parseEndpoint(text)).toThrow('write host:port or unix:/path');
  });
});

describe('the filters section', () => {
  it('has a filter that is named, with its defaults', () => {
    const { filters } = load('filters: { clamd: { address: "unix:/run/clamd.ctl" } }');
    expect(filters.clamd).toMatchObject({
      on_failure: 'defer',
      infected: 'reject',
      kinds: ['mx', 'relay', 'submission', 'http'],
    });
    expect(filters.rspamd).toBeUndefined();
  });

  it.each([
    ['filters: { spamd: { address: nowhere } }', 'filters.spamd'],
    ['filters: { clamd: { address: "a:b" } }', 'filters.clamd'],
    ['filters: { milters: [{ name: a, address: "h:1" }, { name: a, address: "h:2" }] }', 'the name is taken'],
    ['filters: { rspamd: { url: "redis://h" } }', 'filters.rspamd.url'],
    ['spam: { headers: { score: "X Spam" } }', 'X-Spam-Status'],
    ['spam: { scores: { lower: 1 } }', 'spam.scores.lower'],
  ])('%s is refused', (text, problem) => {
    expect(() => load(text)).toThrow(problem);
  });
});
