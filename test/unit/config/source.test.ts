import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, ConfigSource } from '@waypost/config';
import { waitFor } from '@waypost/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let dir: string;
let file: string;
let source: ConfigSource;
const reloads: { changed: readonly string[]; restart: readonly string[] }[] = [];
const errors: Error[] = [];

const put = (text: string) => writeFileSync(file, text);
const open = () => {
  source = new ConfigSource({
    file,
    onReload: (changed, restart) => reloads.push({ changed, restart }),
    onError: (error) => errors.push(error),
  });
  return source;
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-source-'));
  file = join(dir, 'waypost.yaml');
  put('routes: [{ match: "*", to: sink }]\nhttp: { port: 8080 }\n');
  reloads.length = 0;
  errors.length = 0;
});
afterEach(() => {
  source?.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('the configuration in force', () => {
  test('is refused at the start when it is bad', () => {
    put('routes: 5');
    expect(open).toThrow(ConfigError);
  });

  test('takes over what can change, and says what needs a restart', () => {
    open();
    put('routes: [{ match: "*", to: mx }]\nhttp: { port: 9090 }\n');
    expect(source.reload()).toBe(true);
    expect(source.current.routes).toEqual([{ match: '*', to: 'mx' }]);
    expect(source.current.http.port).toBe(8080);
    expect(reloads).toEqual([{ changed: ['http', 'routes'], restart: ['http'] }]);
  });

  test.each([
    ['no YAML', 'routes: [{'],
    ['an unknown key', 'routess: []'],
    ['a route that leads nowhere', 'routes: [{ match: "*", to: "nowhere" }]'],
    ['a network that is none', 'keys: [{ id: a, secret: b, networks: [x] }]'],
  ])('stays the old one when the new one is bad: %s', (_, text) => {
    const before = open().current;
    put(text);
    expect(source.reload()).toBe(false);
    expect(source.current).toBe(before);
    expect(errors).toEqual([expect.any(ConfigError)]);
    expect(reloads).toEqual([]);
    put('routes: [{ match: "*", to: mx }]');
    expect(source.reload()).toBe(true);
    expect(source.current.routes[0]?.to).toBe('mx');
  });

  test('stays the old one when the file is gone', () => {
    open();
    rmSync(file);
    expect(source.reload()).toBe(false);
    expect(source.current.routes[0]?.to).toBe('sink');
    expect(errors[0]?.message).toContain('cannot be read');
  });

  test('reads secrets again', () => {
    const secret = join(dir, 'secret');
    writeFileSync(secret, 'the first secret');
    put(`keys: [{ id: a, secret_file: ${secret} }]`);
    open();
    writeFileSync(secret, 'the second secret');
    expect(source.reload()).toBe(true);
    expect(source.current.keys[0]?.secret).toBe('the second secret');
  });

  test('says nothing where nothing changed', () => {
    open();
    put('# only a comment\nhttp: { port: 8080 }\nroutes: [{ match: "*", to: sink }]\n');
    expect(source.reload()).toBe(true);
    expect(reloads).toEqual([]);
  });
});

describe('a watched file', () => {
  test('is followed when it is written, and when another is put in its place', async () => {
    open().watch();
    put('routes: [{ match: "*", to: mx }]');
    await waitFor('the written file', () => source.current.routes[0]?.to === 'mx');
    const other = join(dir, 'other.yaml');
    writeFileSync(other, 'routes: [{ match: "*", to: "smtp://new" }]');
    renameSync(other, file);
    await waitFor('the file put in its place', () => source.current.routes[0]?.to === 'smtp://new');
  });

  test('is followed as Kubernetes changes it, by a link to a folder', async () => {
    for (const [folder, to] of [
      ['..1', 'sink'],
      ['..2', 'mx'],
    ] as const) {
      mkdirSync(join(dir, folder));
      writeFileSync(join(dir, folder, 'waypost.yaml'), `routes: [{ match: "*", to: ${to} }]`);
    }
    rmSync(file);
    symlinkSync('..1', join(dir, '..data'));
    symlinkSync('..data/waypost.yaml', file);
    open().watch();
    expect(source.current.routes[0]?.to).toBe('sink');
    symlinkSync('..2', join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    await waitFor('the link to be followed', () => source.current.routes[0]?.to === 'mx');
  });
});
