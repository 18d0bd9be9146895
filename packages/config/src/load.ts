import { readFileSync } from 'node:fs';
import { closest } from 'fastest-levenshtein';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { parseTarget } from './route.js';
import { type Config, configSchema } from './schema.js';

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
  const source = options.text ?? (options.file ? readText(options.file) : '');
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: true });
  if (document.errors.length > 0)
    throw new ConfigError(document.errors.map((error) => `${options.file ?? 'YAML'}: ${error.message}`));
  const where = (path: readonly PropertyKey[]) => {
    const node = document.getIn(path as string[], true) as { range?: [number, number, number] } | undefined;
    return node?.range && options.file ? ` (${options.file}, line ${lines.linePos(node.range[0]).line})` : '';
  };
  const problems: string[] = [];
  const tree = merge(options.base ?? {}, (document.toJS() ?? {}) as Tree);
  override(tree, options.env ?? {});
  const resolved = readSecretFiles(tree, [], problems) as Tree;
  const parsed = configSchema.safeParse(resolved);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap((issue) => describe(issue, where)));
  else problems.push(...checkMeaning(parsed.data));
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return parsed.data;
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
    at[path.at(-1) as string] = parseScalar(text);
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

function describe(issue: z.core.$ZodIssue, where: (path: readonly PropertyKey[]) => string): string[] {
  const path = issue.path.map(String);
  if (issue.code !== 'unrecognized_keys')
    return [`${path.join('.') || 'the file'}: ${issue.message}${where(issue.path)}`];
  const known = keysAt(path);
  return issue.keys.map((key) => {
    const hint = known.length > 0 ? `; did you mean "${closest(key, known)}"?` : '';
    return `${[...path, key].join('.')}: there is no such key${hint}${where([...issue.path, key])}`;
  });
}

/** The keys the schema knows at a path. */
function keysAt(path: readonly string[]): string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    const shape = unwrap(schema) as { shape?: Tree; element?: unknown };
    schema = shape.element ?? shape.shape?.[key];
  }
  return Object.keys((unwrap(schema) as { shape?: Tree } | undefined)?.shape ?? {});
}

function unwrap(schema: unknown): unknown {
  let inner = schema as { def?: { innerType?: unknown } } | undefined;
  while (inner?.def?.innerType) inner = inner.def.innerType as typeof inner;
  return inner;
}

/** What a schema cannot say. */
function checkMeaning(config: Config): string[] {
  const problems: string[] = [];
  const names = new Set<string>();
  for (const listener of config.listeners) {
    const at = `listeners "${listener.name}"`;
    if (names.has(listener.name)) problems.push(`${at}: the name is taken; give each listener its own`);
    names.add(listener.name);
    if (listener.kind === 'relay' && listener.allow.length === 0) {
      problems.push(`${at}: a relay listener needs "allow" with the networks that may use it, such as [10.0.0.0/8]`);
    }
    if (listener.allow.some((network) => /\/0+$/.test(network))) {
      problems.push(`${at}: "allow" holds the whole internet, which makes an open relay; name your own networks`);
    }
    if (listener.kind === 'mx' && listener.domains.length === 0) {
      problems.push(`${at}: an mx listener needs "domains" with the domains it accepts mail for`);
    }
    if (listener.kind === 'mx' && listener.domains.includes('*')) {
      problems.push(`${at}: "domains" holds "*", which makes an open relay; name your own domains`);
    }
    if (listener.kind === 'submission' && listener.tls === 'none' && !listener.auth_without_tls) {
      problems.push(`${at}: AUTH needs TLS; set tls to starttls or implicit, or auth_without_tls: true if you must`);
    }
    if (listener.tls !== 'none' && config.tls.identities.length === 0 && !config.tls.self_signed_dir) {
      problems.push(`${at}: TLS needs tls.identities with cert and key, or tls.self_signed_dir for development`);
    }
  }
  for (const [index, route] of config.routes.entries()) {
    try {
      parseTarget(route.to, 'example.com');
    } catch (error) {
      problems.push(`routes.${index}.to: ${(error as Error).message}`);
    }
  }
  if (config.spool.blobs === 's3' && !config.spool.s3)
    problems.push('spool.blobs is s3, but there is no spool.s3 section');
  return problems;
}
