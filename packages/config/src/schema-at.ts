import { configSchema } from './schema.js';

interface SchemaNode {
  readonly def?: { readonly type?: string; readonly innerType?: unknown };
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly element?: unknown;
}

/** @returns the schema of a path, without defaults and the like; undefined where the schema ends before it. */
function schemaAt(path: readonly string[]): SchemaNode | undefined {
  let schema: unknown = configSchema;
  for (const key of path) {
    const node = unwrap(schema);
    schema = node?.element ?? node?.shape?.[key];
  }
  return unwrap(schema);
}

function unwrap(schema: unknown): SchemaNode | undefined {
  let node = schema as SchemaNode | undefined;
  while (node?.def?.innerType) node = node.def.innerType as SchemaNode;
  return node;
}

/** @returns the keys the schema knows at a path. */
export function keysAt(path: readonly string[]): string[] {
  return Object.keys(schemaAt(path)?.shape ?? {});
}

/** @returns whether only text fits at a path, so that what looks like a number is none. */
export function isTextAt(path: readonly string[]): boolean {
  const type = schemaAt(path)?.def?.type;
  return type === 'string' || type === 'enum';
}
