// Secrets while they rotate and while nobody can read them, on a clock of the test.
import { beforeEach, expect, test } from 'vitest';
import { createSecrets } from '../../../runtime/secrets.ts';

const uri = 'secretsmanager:baton-test#password';
let now: number;
let stored: string | undefined;
let fetched: number;

beforeEach(() => {
  [now, stored, fetched] = [0, 'first', 0];
});
const start = () =>
  createSecrets(
    () => now,
    async () => {
      fetched += 1;
      if (stored === undefined) throw new Error('ThrottlingException');
      return JSON.stringify({ password: stored });
    },
  );

test('a rotated secret is taken up within a minute, and not asked for at each use', async () => {
  const secrets = start();
  expect(await Promise.all([secrets.text(uri), secrets.text(uri)])).toEqual(['first', 'first']);
  expect(fetched).toBe(1);
  stored = 'second';
  now = 59_000;
  expect(await secrets.text(uri)).toBe('first');
  now = 60_000;
  expect(await secrets.text(uri)).toBe('second');
  expect(fetched).toBe(2);
});

test('while nobody can read it the last one is used, for an hour at most, and asked for now and then', async () => {
  const secrets = start();
  await secrets.text(uri);
  stored = undefined;
  for (now = 60_000; now < 120_000; now += 100) expect(await secrets.text(uri)).toBe('first');
  expect(fetched).toBe(1 + 60 / 5);
  stored = 'second';
  now = 130_000;
  expect(await secrets.text(uri)).toBe('second');
  stored = undefined;
  now += 3_600_000;
  await expect(secrets.text(uri)).rejects.toThrow(`secret ${uri} cannot be read`);
  stored = 'third';
  expect(await secrets.text(uri)).toBe('third');
});

test('one that never could be read is asked for each time', async () => {
  stored = undefined;
  const secrets = start();
  await expect(secrets.text(uri)).rejects.toThrow('cannot be read');
  stored = 'first';
  expect(await secrets.text(uri)).toBe('first');
});
