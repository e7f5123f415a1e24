// What images are made of, and that a checkout which nobody but its owner may read still makes images that run.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { functionContainers } from '../../../emulator/commands/compose.ts';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
/** From the last FROM on. */
const lastStage = (path: string) =>
  read(path)
    .split(/^FROM /m)
    .at(-1) ?? '';

describe('images', () => {
  test.each(['nodes/Dockerfile', 'emulator/containers/Dockerfile'])(
    'images: what %s copies belongs to the user who reads it, whatever the umask of the checkout',
    (path) => {
      const stage = lastStage(path);
      expect(stage).toMatch(/^USER node$/m);
      const copied = stage.split('\n').filter((line) => /^COPY (?!--from=)/.test(line));
      expect(copied.length).toBeGreaterThan(3);
      for (const line of copied) expect(line).toMatch(/^COPY --chown=node:node /);
    },
  );

  test('images: no container reads the checkout itself', () => {
    const mounts = [...read('emulator/compose.yaml').matchAll(/^ +- (?<from>[./~][^:\s]*):/gm)];
    expect(mounts.map(({ groups }) => groups?.['from'])).toEqual([]);
  });

  test('images: both of ours begin with the same stage, which is then built once', () => {
    const [node, emulator] = ['nodes/Dockerfile', 'emulator/containers/Dockerfile'].map((path) =>
      /^ARG NODE_TAG=[^]*?(?=^FROM node:\$NODE_TAG(?: AS synthesis)?$)/m.exec(read(path))?.[0].trim(),
    );
    expect(node).toContain('AS dependencies');
    expect(emulator).toBe(node);
  });
});

test("compose down: LocalStack's function containers go, and a person's own on the same network stays", () => {
  const listed = [
    'a1\tbaton-localstack-1-lambda-scraper-5d3a\t',
    'a2\tbaton-localstack-1-lambda-ftp-sync-77c0\t',
    'b1\tbaton-lambda-1\tbaton',
    'c1\tmy-psql\t',
    'c2\tmy-lambda-toy-1\t',
    '',
  ].join('\n');
  expect(functionContainers(listed)).toEqual(['a1', 'a2']);
});
