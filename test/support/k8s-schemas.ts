import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import type { Manifest } from './helm.js';

const ROOT = process.env.WAYPOST_K8S_SCHEMAS ?? resolve(import.meta.dirname, '../../../shared/k8s-schemas');
const CORE = join(ROOT, 'v1.36.2-standalone-strict');
const DEFINITIONS = '_definitions.json';
export const haveSchemas = existsSync(join(CORE, DEFINITIONS));

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

/** Checks objects against strict schemas of Kubernetes and of custom resources. */
export class K8sSchemas {
  readonly #ajv = new Ajv({
    strict: false,
    allErrors: true,
    validateFormats: false,
    logger: false,
    code: { regExp: goPattern },
  });
  readonly #known = new Map<string, ValidateFunction>();

  constructor() {
    this.#ajv.addSchema(read(join(CORE, DEFINITIONS)), DEFINITIONS);
  }

  /** @returns what is wrong with an object, a line each. @throws where there is no schema for its kind. */
  violations(object: Manifest): string[] {
    const check = this.#of(object);
    const good: unknown = check(object);
    if (good === true) return [];
    return (check.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${object.kind} ${object.metadata.name}${instancePath}: ${message} ${JSON.stringify(params)}`,
    );
  }

  #of({ kind, apiVersion }: Manifest): ValidateFunction {
    const key = `${apiVersion} ${kind}`;
    const known = this.#known.get(key);
    if (known) return known;
    const path = pathOf(kind, apiVersion);
    if (!existsSync(path)) throw new Error(`there is no schema for ${key}`);
    const check = this.#ajv.compile(read(path));
    this.#known.set(key, check);
    return check;
  }
}

/** Patterns of custom resources are Go's, which write flags at their beginning. */
const goPattern = Object.assign(
  (pattern: string, flags: string) =>
    new RegExp(pattern.replace('(?i)', ''), pattern.includes('(?i)') ? `${flags}i` : flags),
  { code: 'goPattern' },
);

function pathOf(kind: string, apiVersion: string): string {
  const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const name = kind.toLowerCase();
  const custom = join(ROOT, 'crds', group, `${name}_${version}.json`);
  if (group && existsSync(custom)) return custom;
  return join(CORE, [name, group.split('.')[0], version].filter(Boolean).join('-').concat('.json'));
}
