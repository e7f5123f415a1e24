// Whoever grants what docs/aws.md lists can use `baton --target aws:<stage>`: the page names every action that the code asks
// for, and no other.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string): string => readFileSync(`${root}/${file}`, 'utf8');
const found = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, action]) => action as string))].sort();

test('docs/aws.md lists the actions of emulator/aws', () => {
  const code = readdirSync(`${root}/emulator/aws`)
    .map((file) => read(`emulator/aws/${file}`))
    .join('\n');
  const used = found(code, /action: '([a-z]+:[A-Z]\w+)'/g);
  const section = /^## The same tool\n(?<text>.*?)^## /ms.exec(read('docs/aws.md'))?.groups?.['text'] ?? '';
  const listed = found(section, /`([a-z]+:[A-Z]\w+)`/g);
  expect(used.length).toBeGreaterThan(5);
  expect(listed).toEqual(used);
});
