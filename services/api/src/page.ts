/** Escapes text for HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; }
header { display: flex; gap: 1.5rem; align-items: baseline; border-bottom: 1px solid #8884; margin-bottom: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .6rem; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8883; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } pre { overflow: auto; background: #8881; padding: .8rem; border-radius: 6px; }
iframe { width: 100%; height: 30rem; border: 1px solid #8884; border-radius: 6px; background: #fff; } .dim { opacity: .65; }
`;

/** Scripts are off altogether; what a caught message holds cannot run. */
export const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'";

/** @param body HTML that is escaped already. */
export function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)} · Waypost</title><style>${STYLE}</style></head><body>
<header><h1>Waypost</h1><a href="/">Caught mail</a><a href="/queues">Queues</a></header>${body}</body></html>`;
}

/** @returns a table; cells are escaped unless they are given as `{ html }`. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number | { html: string })[])[],
): string {
  const cell = (value: string | number | { html: string }) =>
    typeof value === 'number'
      ? `<td class="n">${value}</td>`
      : `<td>${typeof value === 'string' ? escapeHtml(value) : value.html}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('');
  return `<table><thead><tr>${head.map((name) => `<th>${escapeHtml(name)}</th>`).join('')}</tr></thead><tbody>${body}</tbody></table>`;
}
