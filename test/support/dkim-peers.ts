import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { find, run } from '@waypost/testkit';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';

/** TXT records by name. */
export type Records = Readonly<Record<string, string>>;

/** What a verifier says of each signature of a message, in the order of the fields; `pass`, or why not. */
export type Verdicts = readonly string[];

/** mailauth on every message. */
export function withMailauth(messages: readonly Buffer[], records: Records): Promise<Verdicts[]> {
  const resolver = async (name: string, type: string) => {
    const text = type === 'TXT' ? records[name] : undefined;
    if (text === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return [[text]];
  };
  return Promise.all(
    messages.map(async (message) => {
      const { results } = await dkimVerify(message, { resolver, minBitLength: 1024 });
      return results.map(({ status }) =>
        status.result === 'pass' ? 'pass' : `${status.result} ${status.comment ?? ''}`,
      );
    }),
  );
}

/** Debian's Python, for which its packages are. */
const PYTHON = '/usr/bin/python3';
const DKIMPY = `
import dkim, json, sys
records = json.load(open(sys.argv[1]))
def txt(name, timeout=5):
    return records.get(name.decode().rstrip('.'))
out = []
for path in sys.argv[2:]:
    verdicts = []
    try:
        d = dkim.DKIM(open(path, 'rb').read(), minkey=1024)
    except dkim.MessageFormatError as e:
        out.append([repr(e)])
        continue
    for i in range(len([x for x, y in d.headers if x.lower() == b'dkim-signature'])):
        try:
            verdicts.append('pass' if d.verify(idx=i, dnsfunc=lambda n, timeout=5: (txt(n) or '').encode()) else 'fail')
        except Exception as e:
            verdicts.append(repr(e))
    out.append(verdicts)
print(json.dumps(out))
`;

/** dkimpy on every message. */
export function withDkimpy(messages: readonly Buffer[], records: Records): Promise<Verdicts[]> {
  return inFolder(messages, async (dir, files) => {
    const zone = join(dir, 'records.json');
    writeFileSync(zone, JSON.stringify(records));
    const { stdout } = await promisify(execFile)(PYTHON, ['-c', DKIMPY, zone, ...files], { maxBuffer: 1 << 26 });
    return JSON.parse(stdout) as Verdicts[];
  });
}

/** OpenDKIM on every message. */
export function withOpenDkim(messages: readonly Buffer[], records: Records): Promise<Verdicts[]> {
  return inFolder(messages, async (dir, files) => {
    const keys = join(dir, 'records');
    const lines = Object.entries(records).map(([name, text]) => `${name} ${text}`);
    writeFileSync(keys, `${lines.join('\n')}\n`);
    const config = join(dir, 'opendkim.conf');
    writeFileSync(config, `Mode v\nTestPublicKeys ${keys}\n`);
    const verdicts: string[][] = [];
    for (const file of files) {
      const { stdout, stderr } = await run(find('opendkim') ?? '', ['-x', config, '-vv', '-t', file]);
      verdicts.push([...`${stdout}${stderr}`.matchAll(/\bdkim=(\w+)/g)].map(([, verdict]) => verdict ?? ''));
    }
    return verdicts;
  });
}

/** @returns which of the verifiers are not installed. */
export async function missingVerifiers(): Promise<string[]> {
  const dkimpy = await run(PYTHON, ['-c', 'import dkim, nacl']).catch(() => ({ code: 1 }));
  return [...(dkimpy.code === 0 ? [] : ['python3-dkim']), ...(find('opendkim') ? [] : ['opendkim'])];
}

const CRLF = Buffer.from('\r\n');

async function inFolder<T>(
  messages: readonly Buffer[],
  work: (dir: string, files: string[]) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'dkim-'));
  try {
    const files = messages.map((message, at) => {
      const file = join(dir, `${at}.eml`);
      // As SMTP carries it: the last line is ended.
      writeFileSync(file, message.subarray(-2).equals(CRLF) ? message : Buffer.concat([message, CRLF]));
      return file;
    });
    return await work(dir, files);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
