// Writes helm/waypost/README.md from the comments of values.yaml: `npm run render` after a change there.
// `node helm/readme.mjs <file>` writes elsewhere, for comparison.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isMap, parseDocument } from 'yaml';

const CHART = resolve(import.meta.dirname, 'waypost');
const HEAD = `<!-- Written from values.yaml by \`npm run render\`. -->

# Waypost for Kubernetes

\`\`\`sh
helm install relay helm/waypost --namespace mail --create-namespace --values my-values.yaml
\`\`\`

[docs/kubernetes.md](../../docs/kubernetes.md) tells what to decide first, how to upgrade and how to back up; \`ci/\` holds values for
one case each, all of them tested. Values that cannot work are refused with a sentence that says what to do.

`;

const document = parseDocument(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
const sections = document.contents.items.map(sectionOf);
const plain = sections.filter(({ rows, alone }) => alone && rows.length > 0).flatMap(({ rows }) => rows);
const rest = sections.filter(({ alone }) => !alone);
const text = [
  `${HEAD}${table(plain)}`,
  ...rest.map(({ name, said, rows }) => `## ${name}\n\n${said ? `${said}\n\n` : ''}${table(rows)}`),
].join('\n');
writeFileSync(process.argv[2] ?? join(CHART, 'README.md'), text);

/** @returns one key at the top: a row of its own, or a section with a row for each key in it. */
function sectionOf(pair, index) {
  const name = pair.key.value;
  const said = saidOf(pair, index === 0 ? document.contents : undefined);
  if (!isBlock(pair.value)) return { name, alone: true, rows: [rowOf(name, pair.value, said)] };
  return { name, said, alone: false, rows: name === 'services' ? servicesOf(pair.value) : rowsOf(name, pair.value) };
}

function rowsOf(path, map) {
  return map.items.flatMap((pair, index) => {
    const at = `${path}.${pair.key.value}`;
    const said = saidOf(pair, index === 0 ? map : undefined);
    if (!isBlock(pair.value)) return [rowOf(at, pair.value, said)];
    return [...(said ? [{ at, value: '', said }] : []), ...rowsOf(at, pair.value)];
  });
}

/** Services have the same keys: of all but the first only what differs. */
function servicesOf(map) {
  const [first, ...others] = map.items.map((pair) => ({
    name: pair.key.value,
    rows: rowsOf(pair.key.value, pair.value),
  }));
  const known = new Map(first.rows.map(({ at, value }) => [at.slice(first.name.length), value]));
  const differing = others.flatMap(({ name, rows }) =>
    rows.filter(({ at, value, said }) => said || known.get(at.slice(name.length)) !== value),
  );
  return [...first.rows, ...differing].map((row) => ({ ...row, at: `services.${row.at}` }));
}

function isBlock(node) {
  return isMap(node) && !node.flow && node.items.length > 0;
}

function rowOf(at, node, said) {
  return { at, value: JSON.stringify(node?.toJSON() ?? null), said };
}

/** The comment over a key; over the first key of a map it is found at the map. */
function saidOf(pair, map) {
  const comment = [map?.commentBefore, pair.key.commentBefore].filter(Boolean).join('\n');
  return comment
    .split('\n')
    .map((line) => line.replace(/^ (?:-- )?/, ''))
    .join(' ')
    .trim();
}

function table(rows) {
  const escaped = (cell) => cell.replaceAll('|', '\\|');
  const lines = rows.map(
    ({ at, value, said }) => `| \`${at}\` | ${value && `\`${escaped(value)}\``} | ${escaped(said ?? '')} |\n`,
  );
  return `| key | default | meaning |\n|---|---|---|\n${lines.join('')}`;
}
