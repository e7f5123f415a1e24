// docs/requirements.md is an account, so every row has to name things that exist.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(`${root}/docs/requirements.md`, 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, asked = '', where = '', named = '', state = '']) => ({ asked, where, named, state }));

describe('requirements', () => {
  test('every sentence of the request has a row', () => {
    expect(rows.length).toBeGreaterThanOrEqual(24);
  });
  test.each(rows)('"$asked" names files and a test that exist, and a state', ({ where, named, state }) => {
    for (const file of where.split(', ')) expect(existsSync(`${root}/${file}`), file).toBe(true);
    expect(existsSync(`${root}/${named}`), named).toBe(true);
    expect(readFileSync(`${root}/${named}`, 'utf8')).toMatch(/\b(?:test|it)(?:\.\w+)*\(/);
    expect(state).toMatch(/^(?:works|not yet)/);
  });
  test('the packages the request names are dependencies, each at one exact version', () => {
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(`${root}/package.json`, 'utf8'),
    ) as Record<string, Record<string, string>>;
    const all = { ...dependencies, ...devDependencies };
    for (const name of [
      'aws-cdk-lib',
      '@aws-sdk/client-sqs',
      'amqplib',
      'basic-ftp',
      'nodemailer',
      'fastify',
      'vitest',
    ])
      expect(all[name], name).toMatch(/^\d+\.\d+\.\d+$/);
    // npm's package of this name is an unrelated data structure; the emulator is a container image.
    expect(all['localstack']).toBeUndefined();
  });
});
