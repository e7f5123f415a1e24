// Every story in test/scenarios goes as it is written there. `npm run scenarios -- --update` writes them anew.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { perform } from '../../scenarios/story.ts';

const folder = new URL('../../scenarios/', import.meta.url);
const stories = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('scenarios', () => {
  test('there are stories', () => {
    expect(stories.length).toBeGreaterThanOrEqual(35);
  });
  test.each(stories)('%s', (name) => {
    const written = readFileSync(new URL(name, folder), 'utf8');
    expect(perform(written)).toBe(written);
    expect(written).toMatch(/^ {2} +\d+ /m);
  });
  test('a misspelt command and a story without any are errors that name the line', () => {
    expect(() => perform('> cluster n1\n> wiat 3')).toThrow(/line 2: no command 'wiat'/);
    expect(() => perform('prose')).toThrow(/without a command/);
    expect(() => perform('> cluster n1\n> dies n7')).toThrow(/line 2/);
  });
});
