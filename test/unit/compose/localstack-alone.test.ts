// `baton localstack` beside a container system that was ended and keeps what it stored: it has containers, network and
// volumes of its own, so that taking them away takes nothing of the other. Without Docker: a `docker` of ours notes its calls.
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const cli = fileURLToPath(new URL('../../../emulator/cli.ts', import.meta.url));
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-localstack-'));
  const script = `#!${process.execPath}
const { appendFileSync } = require('node:fs');
const words = process.argv.slice(2);
appendFileSync(${JSON.stringify(join(folder, 'calls'))}, JSON.stringify({ words, project: process.env.COMPOSE_PROJECT_NAME }) + '\\n');
// Nothing is built here, so that a start ends at once.
process.exit(words.includes('build') ? 1 : 0);
`;
  await writeFile(join(folder, 'docker'), script);
  await chmod(join(folder, 'docker'), 0o755);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function callsOf(...command: string[]): Promise<{ words: string[]; project?: string }[]> {
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH']}` };
  delete env['COMPOSE_PROJECT_NAME'];
  await new Promise((resolve) =>
    execFile(process.execPath, [cli, ...command], { env }, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    ),
  );
  const text = await readFile(join(folder, 'calls'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { words: string[]; project?: string });
}
const changing = /^(?:build|up|down|stop|rm)$/;

test.each([
  ['compose', 'baton'],
  ['localstack', 'baton-localstack'],
])('%s down ends and removes the project %s alone', async (what, project) => {
  const calls = await callsOf(what, 'down', ...(what === 'compose' ? ['--volumes'] : []));
  const changed = calls.filter(({ words }) => words.some((word) => changing.test(word)));
  expect(changed.map(({ words }) => words.filter((word) => /^(?:stop|down|--volumes)$/.test(word)))).toEqual([
    ['stop'],
    ['down', '--volumes'],
  ]);
  // Not named, it is that of emulator/.env: baton.
  expect(new Set(changed.map((call) => call.project ?? 'baton'))).toEqual(new Set([project]));
  expect(calls.find(({ words }) => words[0] === 'ps')?.words).toContain(`--filter=network=${project}_main`);
});

test('localstack up begins the project that its down ends', async () => {
  const calls = await callsOf('localstack', 'up');
  expect(calls.find(({ words }) => words.includes('build'))?.project).toBe('baton-localstack');
});
