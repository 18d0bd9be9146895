import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMetrics } from '@waypost/runtime';
import { missing, run } from '@waypost/testkit';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CHART } from '../../support/helm.js';

const ROOT = join(CHART, '../..');
const ALERTS = join(CHART, 'alerts.yaml');
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook_url: string };
}
const rules = (parse(readFileSync(ALERTS, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const dashboards = readdirSync(join(CHART, 'dashboards'));

/** Names of series, as histograms write several for one metric. */
async function known(): Promise<(name: string) => boolean> {
  const names = new Set((await createMetrics().registry.getMetricsAsJSON()).map(({ name }) => name));
  return (name) => names.has(name) || names.has(name.replace(/_(?:bucket|sum|count)$/, ''));
}
const namesIn = (text: string) => [...new Set(text.match(/\bwaypost_[a-z_]+/g) ?? [])];

describe('alerts', () => {
  it.each(rules)('$alert has a page that says what to do', ({ alert, annotations }) => {
    const page = join(ROOT, annotations.runbook_url);
    expect(existsSync(page)).toBe(true);
    expect(readFileSync(page, 'utf8')).toMatch(new RegExp(`^# ${alert}\n[^]+## Look\n[^]+## Do\n`));
  });

  it('speak of metrics that there are', async () => {
    const isKnown = await known();
    const names = rules.flatMap(({ expr }) => namesIn(expr));
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !isKnown(name))).toEqual([]);
  });

  it.skipIf(missing('promtool').length > 0)('fire when they should and only then (needs promtool)', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'waypost-alerts-'));
    try {
      copyFileSync(ALERTS, join(dir, 'alerts.yaml'));
      copyFileSync(join(import.meta.dirname, 'alerts.test.yaml'), join(dir, 'alerts.test.yaml'));
      const { code, stdout, stderr } = await run('promtool', ['test', 'rules', join(dir, 'alerts.test.yaml')]);
      expect(`${stdout}${stderr} ended with ${code}`).toMatch(/SUCCESS\s+ended with 0$/);
      const tested = readFileSync(join(dir, 'alerts.test.yaml'), 'utf8');
      for (const { alert } of rules) expect(tested.match(new RegExp(`alertname: ${alert}\\b`, 'g'))).toHaveLength(2);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('dashboards', () => {
  it.each(dashboards)('%s shows metrics that there are', async (file) => {
    const isKnown = await known();
    const names = namesIn(readFileSync(join(CHART, 'dashboards', file), 'utf8'));
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !isKnown(name))).toEqual([]);
  });
});
