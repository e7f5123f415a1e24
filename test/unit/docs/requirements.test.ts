// docs/requirements.md is an account, so every entry has to name things that exist.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(`${root}/docs/requirements.md`, 'utf8');
const entries = page
  .split(/^- /m)
  .slice(1)
  .map((entry) => entry.replaceAll(/\s+/g, ' ').trim())
  .map((entry) => {
    const parts = /^\*\*(?<asked>.+?)\*\*: (?<state>.+) Code: (?<where>.+)\. Test: (?<named>.+)\.$/.exec(
      entry,
    );
    const { asked = entry, state = '', where = '', named = '' } = parts?.groups ?? {};
    return { asked, state, where, named };
  });

describe('requirements', () => {
  test('every sentence of the request has an entry', () => {
    expect(entries.length).toBeGreaterThanOrEqual(24);
  });
  test.each(entries)('"$asked" names files and a test that exist, and a state', ({ where, named, state }) => {
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
