import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '@waypost/config';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-config-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

/** @returns what is wrong with a configuration, none where it loads. */
function problems(options: Parameters<typeof loadConfig>[0]): readonly string[] {
  try {
    loadConfig(options);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).toBe(
      [
        `The configuration has ${error.problems.length} problem${error.problems.length === 1 ? '' : 's'}:`,
        ...error.problems,
      ].join('\n- '),
    );
    return error.problems;
  }
}

describe('loading', () => {
  test('an empty file is all defaults', () => {
    const config = loadConfig({ text: '' });
    expect(config.redis).toMatchObject({ durability: 'fsync', replicas: 1 });
    expect(config.spool).toMatchObject({ inline_max: 65_536, blobs: 'fs' });
    expect(config.limits.message_size).toBe(52_428_800);
    expect(config).toEqual(loadConfig({}));
    expect(config).toEqual(loadConfig({ text: '# nothing but a comment\n' }));
  });

  test('a section that is given keeps the defaults of its other keys', () => {
    const config = loadConfig({ text: 'delivery: { retry: { initial: 5s } }' });
    expect(config.delivery.retry).toMatchObject({ initial: 5000, factor: 2, max: 14_400_000 });
    expect(config.delivery.connections).toBe(20);
  });

  test('the file lies over the base, map by map; lists are replaced', () => {
    const base = {
      http: { port: 1, host: 'base' },
      routes: [{ match: '*', to: 'sink' }],
    };
    const config = loadConfig({ base, text: 'http: { port: 2 }\nroutes: [{ match: a.test, to: mx }]' });
    expect(config.http).toMatchObject({ port: 2, host: 'base' });
    expect(config.routes).toEqual([{ match: 'a.test', to: 'mx' }]);
  });

  test('a file that cannot be read is named', () => {
    expect(problems({ file: join(dir, 'missing.yaml') })).toEqual([expect.stringContaining('missing.yaml cannot be')]);
  });

  test('what is missing is told with the line of what it is missing from', () => {
    const file = write('missing-key.yaml', 'http: {}\nroutes:\n  - to: mx\n');
    expect(problems({ file })).toEqual([expect.stringMatching(/^routes\.0\.match: .*missing-key\.yaml, line 3\)$/s)]);
  });

  test.each(['- a\n- b', '42', 'text'])('%j is no configuration', (text) => {
    expect(problems({ text })).toEqual(['YAML: the configuration is no map of sections']);
  });

  test('all problems are told at once, each with its line', () => {
    const file = write('many.yaml', 'http:\n  port: 99999\nspool:\n  blobs: tape\n  inline_max: 5 parsecs\n');
    const found = [...problems({ file })].sort();
    expect(found).toHaveLength(3);
    expect(found[0]).toMatch(/^http\.port: .*many\.yaml, line 2\)$/s);
    expect(found[1]).toMatch(/^spool\.blobs: .*many\.yaml, line 4\)$/s);
    expect(found[2]).toMatch(/^spool\.inline_max: "5 parsecs" is not a size; .*many\.yaml, line 5\)$/s);
  });
});

describe('unknown keys', () => {
  test.each([
    ['serverr:\n  hostname: a\n', 'serverr', 'server', 1],
    ['redis:\n  # where\n  durabilty: fsync\n', 'redis.durabilty', 'durability', 3],
    ['delivery:\n  retry:\n    initail:\n      a: 1\n', 'delivery.retry.initail', 'initial', 3],
    ['listeners:\n  - name: a\n    kind: relay\n    port: 1\n    alow: [10.0.0.0/8]\n', 'listeners.0.alow', 'allow', 5],
  ])('%j: named with the nearest key and the line', (text, path, nearest, line) => {
    const file = write('unknown.yaml', text);
    expect(problems({ file })).toContain(
      `${path}: there is no such key; did you mean "${nearest}"? (${file}, line ${line})`,
    );
  });

  test('from the environment: named without a line', () => {
    const file = write('fine.yaml', 'http: { port: 1 }');
    expect(problems({ file, env: { WAYPOST__HTTP__PROT: '2' } })).toEqual([
      'http.prot: there is no such key; did you mean "port"?',
    ]);
  });
});

describe('the environment', () => {
  test('overrides the file, whatever the depth', () => {
    const env = {
      WAYPOST__HTTP__PORT: '9000',
      WAYPOST__DELIVERY__RETRY__INITIAL: '90s',
      WAYPOST__SPOOL__INLINE_MAX: '1MiB',
      WAYPOST__GRACE: '1000',
      WAYPOST__ROUTES: '[{"match":"*","to":"sink"}]',
      OTHER__HTTP__PORT: '1',
      WAYPOST_HTTP_PORT: '2',
    };
    const config = loadConfig({ text: 'http: { port: 80, host: file }', env });
    expect(config.http).toMatchObject({ port: 9000, host: 'file' });
    expect(config.delivery.retry.initial).toBe(90_000);
    expect(config.spool.inline_max).toBe(1_048_576);
    expect(config.grace).toBe(1000);
    expect(config.routes).toEqual([{ match: '*', to: 'sink' }]);
  });

  test('reaches into a list by number', () => {
    const text = 'keys: [{ id: a, secret: secret-of-the-file }]';
    expect(loadConfig({ text, env: { WAYPOST__KEYS__0__SECRET: 'secret-of-the-environment' } }).keys[0]).toMatchObject({
      id: 'a',
      secret: 'secret-of-the-environment',
    });
  });

  test.each(['12345678', 'true', 'null', '1e5', '{"a":1}', '"quoted"', ''])('a password %j stays text', (password) => {
    expect(loadConfig({ env: { WAYPOST__REDIS__PASSWORD: password } }).redis.password).toBe(password);
  });

  test('does not write into the base it lies over', () => {
    const base = { http: { port: 1 } };
    loadConfig({ base, env: { WAYPOST__HTTP__PORT: '2' } });
    expect(base).toEqual({ http: { port: 1 } });
  });
});

describe('secrets in files', () => {
  test('*_file gives the content without its last line end', () => {
    const secret = write('secret', 'hush hush \n\n');
    expect(loadConfig({ text: `redis: { password_file: ${secret} }` }).redis.password).toBe('hush hush \n');
    const crlf = write('secret-crlf', 'hush\r\n');
    const text = `routes: [{ match: "*", to: "smtp://h", auth: { user: u, password_file: ${crlf} } }]`;
    expect(loadConfig({ text }).routes[0]?.auth).toEqual({ user: 'u', password: 'hush' });
  });

  test('can be named by the environment', () => {
    const secret = write('secret-env', '0123');
    expect(loadConfig({ env: { WAYPOST__REDIS__PASSWORD_FILE: secret } }).redis.password).toBe('0123');
  });

  test('a missing one is named by its key and path', () => {
    expect(problems({ text: 'redis: { password_file: /nowhere/at/all }' })).toEqual([
      expect.stringMatching(/^redis\.password_file: \/nowhere\/at\/all cannot be read: ENOENT/),
    ]);
  });
});

describe('errors show no secret', () => {
  const SECRET = 'hunter2';
  test.each([
    ['text that is no YAML', `redis:\n  password: "${SECRET}\nhttp: {}\n`],
    ['a flow map that does not end', `keys: [{ id: a, secret: ${SECRET}, scopes: [send }\n`],
    ['a tab before a key', `redis:\n\tpassword: ${SECRET}\n`],
    ['an alias by mistake', `redis: { password: *${SECRET} }\n`],
    ['a reserved character', `redis: { password: "@"${SECRET} }\n`],
    ['a list in its place', `redis: { password: [${SECRET}] }\n`],
    ['a map in its place', `keys: [{ id: a, secret: { value: ${SECRET} } }]\n`],
    ['a misspelt key', `redis: { pasword: ${SECRET} }\n`],
    ['credentials in a next hop', `routes: [{ match: "*", to: "smtp://user:${SECRET}@smarthost:587" }]\n`],
    ['credentials with slashes', `routes: [{ match: "*", to: "smtp://user:a/b@${SECRET}@smarthost:587" }]\n`],
    ['two keys of one id', `keys: [{ id: a, secret: ${SECRET} }, { id: a, secret: ${SECRET}2 }]\n`],
  ])('%s', (_, text) => {
    const found = problems({ text });
    expect(found).not.toEqual([]);
    expect(found.join('\n')).not.toContain(SECRET);
  });

  test('YAML errors still say the line', () => {
    const file = write('broken.yaml', 'http:\n  port: 1\n  host: [a\nredis: {}\n');
    for (const problem of problems({ file })) expect(problem).toMatch(/broken\.yaml, line [345]: /);
  });
});
