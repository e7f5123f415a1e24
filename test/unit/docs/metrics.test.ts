// The metrics of docs/runbook.md are those that a node tells, and its alerts ask for no other.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Metrics } from '../../../nodes/health/metrics.ts';

const page = readFileSync(new URL('../../../docs/runbook.md', import.meta.url), 'utf8');
const section = /^## Metrics\n(?<text>.*?)^## /ms.exec(page)?.groups?.['text'] ?? '';
const cells = (line: string): string[] => line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
const own = new Metrics().registry.getMetricsAsArray().filter(({ name }) => name.startsWith('baton_'));

test('docs/runbook.md: each metric stands in the table with its type and label, and no other', () => {
  const told = [...section.matchAll(/^\| `baton_.*$/gm)].map(([line]) => cells(line).slice(1, 4).join(' | '));
  const described = own.map((metric) => {
    // Not in the library's types.
    const { type, labelNames } = metric as unknown as { type: string; labelNames: readonly string[] };
    return [metric.name, type, labelNames.join(', ')].join(' | ');
  });
  expect(told.length).toBeGreaterThan(20);
  expect(told.toSorted()).toEqual(described.toSorted());
});

test('docs/runbook.md: each alert asks for metrics that there are, and leads to a section that there is', () => {
  const names = new Set(own.flatMap(({ name }) => [name, `${name}_bucket`]));
  const alerts = [...section.matchAll(/^\| `(?!baton_)(?<expression>.*?)`.*\| (?<see>[^|]*?) +\|$/gm)];
  expect(alerts.length).toBeGreaterThan(10);
  const headings = alerts.flatMap(({ groups }) => /^_(.*)_$/.exec(groups?.['see'] ?? '')?.[1] ?? []);
  expect(headings.filter((heading) => !page.includes(`\n## ${heading}\n`))).toEqual([]);
  for (const { groups } of alerts) {
    const asked = groups?.['expression']?.match(/baton_[a-z_]+/g) ?? [];
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((name) => !names.has(name))).toEqual([]);
  }
});
