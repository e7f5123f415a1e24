// Documents name files and folders of this tree, and link to each other: what they name has to be there, so that whoever
// moves a file learns which pages speak of it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const markdown = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file));
const pages = [...markdown('.'), ...markdown('docs'), 'nodes/raft/README.md'];

/** A path from the root of the tree, such as `nodes/node.ts`, `test/unit/raft` or `docs/decisions/0037`. */
const pathPattern =
  /(?<![\w/.-])(?:contracts|runtime|nodes|functions|cdk|emulator|test|bench|docs|\.ci)\/[\w./-]*\w/g;
const linkPattern = /\]\((?!https?:)(?<target>[^)#\s]+)/g;

/** A section of another page: `docs/aws.md, _What a month costs_`. */
const sectionPattern = /(?<page>docs\/[a-z-]+\.md)[^._]{0,3}\s_(?<title>[^_]+)_/g;

const decisions = readdirSync(join(root, 'docs/decisions'));
function exists(path: string): boolean {
  const number = /^docs\/decisions\/(?<number>\d{4})$/.exec(path)?.groups?.['number'];
  if (number !== undefined) return decisions.some((file) => file.startsWith(`${number}-`));
  // A test may be named without its ending.
  return ['', '.test.ts'].some((ending) => existsSync(join(root, path + ending)));
}

test('there are pages to look at', () => {
  expect(pages).toContain('README.md');
  expect(pages).toContain('docs/runbook.md');
});
test.each(pages)('%s names paths and links that exist', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const links = [...text.matchAll(linkPattern)].map(({ groups }) =>
    join(dirname(page), groups?.['target'] ?? ''),
  );
  const named = [...text.matchAll(pathPattern)].map(([path]) => path);
  expect([...links, ...named].filter((path) => !exists(path))).toEqual([]);
});

test('a section that a page names stands in the page it names', () => {
  const named = pages.flatMap((from) => {
    const text = readFileSync(join(root, from), 'utf8');
    return [...text.matchAll(sectionPattern)].map(({ groups }) => ({
      from,
      page: groups?.['page'] ?? '',
      title: groups?.['title']?.replaceAll(/\s+/g, ' '),
    }));
  });
  expect(named.length).toBeGreaterThan(3);
  const missing = named.filter(
    ({ page, title }) => !new RegExp(`^#+ ${title}$`, 'm').test(readFileSync(join(root, page), 'utf8')),
  );
  expect(missing).toEqual([]);
});
