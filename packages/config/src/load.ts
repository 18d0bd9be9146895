import { readFileSync } from 'node:fs';
import { closest } from 'fastest-levenshtein';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { checkMeaning } from './check-meaning.js';
import { type Config, configSchema } from './schema.js';
import { isTextAt, keysAt } from './schema-at.js';

/** All that is wrong with a configuration, a sentence each. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n- ${problems.join('\n- ')}`,
    );
    this.name = 'ConfigError';
  }
}

type Tree = Record<string, unknown>;

export interface LoadOptions {
  /** A YAML file; none is an empty configuration. */
  readonly file?: string;
  /** Text in place of a file. */
  readonly text?: string;
  /** `WAYPOST__SECTION__KEY` variables override the file. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Laid under the file, as the defaults of `waypost up` are. */
  readonly base?: Tree;
}

/**
 * Reads, completes and checks a configuration.
 * @throws ConfigError with every problem found.
 */
export function loadConfig(options: LoadOptions): Config {
  const { tree: given, where } = readYaml(options);
  const problems: string[] = [];
  const tree = merge(structuredClone(options.base ?? {}), given);
  override(tree, options.env ?? {});
  const resolved = readSecretFiles(tree, [], problems) as Tree;
  const parsed = configSchema.safeParse(resolved);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap((issue) => describe(issue, where)));
  else problems.push(...checkMeaning(parsed.data));
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return parsed.data;
}

type Where = (path: readonly PropertyKey[]) => string;

/** Reads the YAML. @returns it, and a function that says where in the file a path is. */
function readYaml({ file, text }: LoadOptions): { tree: Tree; where: Where } {
  const lines = new LineCounter();
  const source = text ?? (file ? readText(file) : '');
  // Pretty errors would show the line, which may hold a secret.
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const line = (offset: number) => `${file ?? 'YAML'}, line ${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map(({ message, pos }) => `${line(pos[0])}: ${withoutSource(message)}`));
  }
  const where: Where = (path) => {
    const offset = offsetOf(document, path);
    return offset === undefined || !file ? '' : ` (${line(offset)})`;
  };
  return { tree: toTree(document, file ?? 'YAML'), where };
}

/** The parser quotes what it stumbled over after a colon. */
const withoutSource = (message: string) => message.replace(/: .*$/s, '');

function toTree(document: Document, name: string): Tree {
  let value: unknown;
  try {
    value = document.toJS() ?? {};
  } catch {
    // An alias without an anchor, most often; the error would name it, and it may be part of a secret.
    throw new ConfigError([`${name}: an alias (*name) has no anchor (&name) before it; quote text that starts with *`]);
  }
  if (isTree(value)) return value;
  throw new ConfigError([`${name}: the configuration is no map of sections`]);
}

/** @returns where a path's key, or its item in a list, starts; undefined where the file does not have it. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  const name = path.at(-1);
  if (name === undefined) return undefined;
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const key = parent.items.find((pair) => isScalar(pair.key) && pair.key.value === name)?.key;
    if (isScalar(key)) return key.range?.[0];
  }
  const node = document.getIn([...path], true) as { range?: [number, number, number] | null } | undefined;
  return node?.range?.[0];
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([`${file} cannot be read: ${(error as Error).message}`]);
  }
}

/** Maps are merged, all else is replaced. */
function merge(under: Tree, over: Tree): Tree {
  const result: Tree = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isTree(below) && isTree(value) ? merge(below, value) : value;
  }
  return result;
}

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

function override(tree: Tree, env: Readonly<Record<string, string | undefined>>): void {
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('WAYPOST__') || text === undefined) continue;
    const path = name.slice('WAYPOST__'.length).toLowerCase().split('__');
    let at: Tree = tree;
    for (const key of path.slice(0, -1)) {
      const next = at[key];
      at[key] = typeof next === 'object' && next !== null ? next : {};
      at = at[key] as Tree;
    }
    // An x_file is a path, whatever x is. Of a secret that is all digits a number must not be made.
    at[path.at(-1) as string] = path.at(-1)?.endsWith('_file') || isTextAt(path) ? text : parseScalar(text);
  }
}

/** JSON where it is JSON, else the text itself. */
function parseScalar(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `x_file: path` becomes `x` with the file's content, for secrets. */
function readSecretFiles(value: unknown, path: readonly string[], problems: string[]): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => readSecretFiles(item, [...path, String(index)], problems));
  if (!isTree(value)) return value;
  const result: Tree = {};
  for (const [key, inner] of Object.entries(value)) {
    if (!key.endsWith('_file') || typeof inner !== 'string') {
      result[key] = readSecretFiles(inner, [...path, key], problems);
      continue;
    }
    try {
      result[key.slice(0, -'_file'.length)] = readFileSync(inner, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      problems.push(`${[...path, key].join('.')}: ${inner} cannot be read: ${(error as Error).message}`);
    }
  }
  return result;
}

function describe(issue: z.core.$ZodIssue, where: Where): string[] {
  const path = issue.path.map(String);
  if (issue.code !== 'unrecognized_keys') {
    // What is missing has no line of its own.
    const place = where(issue.path) || (issue.path.length > 1 ? where(issue.path.slice(0, -1)) : '');
    return [`${path.join('.') || 'the file'}: ${messageOf(issue)}${place}`];
  }
  const known = keysAt(path);
  return issue.keys.map((key) => {
    const hint = known.length > 0 ? `; did you mean "${closest(key, known)}"?` : '';
    return `${[...path, key].join('.')}: there is no such key${hint}${where([...issue.path, key])}`;
  });
}

/** Of a value with several forms, such as a size, what is said about the form it comes nearest to. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_union') return issue.message;
  const nearest = issue.errors.flat().find(({ code }) => code !== 'invalid_type');
  return nearest?.message ?? issue.message;
}
