// Every command of the README and of docs/local.md is tried, as it stands there: those that need a running system against one
// of their own, those in containers by the tests of the containers. One that nobody knows how to try fails, so that none is
// added without being tried, and one that is not run is named with its reason.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const commandsOf = (document: string): string[] =>
  [...readFileSync(`${root}/${document}`, 'utf8').matchAll(/```sh\n(?<block>[^`]*)```/g)].flatMap((match) =>
    (match.groups?.['block'] ?? '')
      .split('\n')
      .map((line) => line.replace(/ +# .*$/, ''))
      .filter((line) => line !== ''),
  );
const run = promisify(execFile);
let system: RunningSystem;

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--broker', 'development']);
});
afterAll(async () => {
  await system?.close();
});

/** The installing half was done by whoever runs this test. */
const spoken = (command: string): string[] => command.replace('npm ci && ', '').split(' ');

/** Minutes long, or in need of Docker: CI has a step for it. */
const inStep = (step: string) => async (): Promise<void> => {
  expect(readFileSync(`${root}/.ci/run`, 'utf8')).toContain(step);
};

/** By a test of the containers, which CI runs; only its call is looked for here. */
const byTest = (file: 'whole-system' | 'other-ways', call: string) => async (): Promise<void> => {
  const path = `test/compose/${file}.test.ts`;
  expect(readFileSync(`${root}/${path}`, 'utf8')).toContain(call);
  expect(readFileSync(`${root}/.ci/run`, 'utf8')).toContain(path);
};
const whole = (call: string) => byTest('whole-system', call);
const notRun: Readonly<Record<string, string>> = {
  'docker compose -f emulator/compose.yaml up --build --detach': '`baton compose up` runs the same and waits',
  'docker compose -f emulator/compose.yaml down --volumes': '`baton compose down --volumes` runs the same',
};

const tried: Readonly<Record<string, (command: string) => Promise<void>>> = {
  'npm ci && npm start': async () => {
    const other = await startRunningSystem([]);
    try {
      await eventually(
        'the first items',
        () => other.status(),
        ({ counts }) => (counts.items ?? 0) > 0,
        60_000,
      );
    } finally {
      await other.close();
    }
  },
  'npm ci && npm test': async () => {
    // The step before this one runs it; here only its name has to be right.
    const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(scripts['test']).toContain('vitest run');
  },
  'npm run baton -- status': onSystem,
  'npm run baton -- status --watch': goesOn,
  'npm run baton -- logs --follow': goesOn,
  'npm run baton -- open': async () => {
    const { stdout } = await system.baton('open');
    const opened = await fetch(stdout.trim(), { redirect: 'manual' });
    expect([opened.status, opened.headers.get('set-cookie')]).toEqual([303, expect.any(String)]);
  },
  'npm run baton -- nodes': onSystem,
  'npm run baton -- kill leader': onSystem,
  'npm run baton -- kill broker': onSystem,
  'npm run baton -- pause leader': onSystem,
  'npm run baton -- resume': onSystem,
  'npm run baton -- chaos partition leader': onSystem,
  'npm run baton -- chaos heal': onSystem,
  'npm run baton -- transfer': onSystem,
  'npm run baton -- dlq list': onSystem,
  'npm run baton -- trace demo-shop/BOO-001': async () => {
    // This system has no demo shop: what is asked for is said to be missing.
    const { code, stderr } = await system.baton('trace', 'demo-shop/BOO-001');
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('demo-shop/BOO-001') });
  },
  'npm run baton -- down': async () => {
    expect((await system.baton('down')).code).toBe(0);
  },
  'OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 npm start': async (command) => {
    const [variable = '', url = ''] = (command.split(' ')[0] ?? '').split('=');
    const told: string[] = [];
    const collector = createServer((asked, answer) => {
      told.push(`${asked.method} ${asked.url}`);
      asked.resume();
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    collector.listen(Number(new URL(url).port), '127.0.0.1');
    await once(collector, 'listening');
    const other = await startRunningSystem([], { env: { [variable]: url } });
    try {
      await eventually(
        'spans',
        async () => told,
        (seen) => seen.includes('POST /v1/traces'),
        60_000,
      );
    } finally {
      await other.close();
      collector.close();
    }
  },
  'npm run baton -- invoke ftp-sync --event test/support/events/sqs-tick.json': async () => {
    const other = await startRunningSystem(['--no-demo', '--broker', 'development']);
    try {
      const { code, stderr } = await other.baton(
        'invoke',
        'ftp-sync',
        '--event',
        `${root}/test/support/events/sqs-tick.json`,
      );
      expect(stderr).toBe('');
      expect(code).toBe(0);
    } finally {
      await other.close();
    }
  },
  'npm run baton -- chaos partition node-1 / node-2,node-3 --one-way --for 1m': onWholeSystem,
  'npm run baton -- chaos delay node-1 20ms+-5': onWholeSystem,
  'npm run baton -- chaos loss all 30%': onWholeSystem,
  'npm run baton -- chaos duplicate all 50%': onWholeSystem,
  'npm run baton -- chaos reorder node-2 / node-3 25%': onWholeSystem,
  'npm run baton -- chaos pause leader --for 10s': onWholeSystem,
  'npm run baton -- chaos list': onSystem,
  'npm run baton -- transfer node-2': async (command) => {
    // Who leads already takes nothing over.
    if ((await system.status()).leader === 'node-2') await system.baton('transfer', 'node-1');
    await onWholeSystem(command);
  },
  'npm run compose -- up': whole("baton('compose', 'up'"),
  'npm run compose -- status': whole("baton('compose', 'status')"),
  'npm run compose -- logs event-sources': whole("baton('compose', 'logs', 'event-sources')"),
  'npm run compose -- down': whole("baton('compose', 'down'"),
  'npm run baton -- kill leader --target compose': whole("baton('kill', killed, '--target', 'compose')"),
  'npm run baton -- pause leader --target compose': whole("baton('pause', frozen, '--target', 'compose')"),
  'npm run baton -- resume --target compose': whole("baton('resume', '--target', 'compose')"),
  'npm run baton -- trace demo-shop/BOO-001 --target compose': whole("baton('trace', `demo-shop/"),
  'npm run baton -- dlq list --target compose': whole("baton('dlq', 'list', '--target', 'compose')"),
  'BATON_LAMBDA=host npm run compose -- up': byTest(
    'other-ways',
    "baton('compose', 'up', '--lambda', 'host')",
  ),
  'npm run localstack -- up': byTest('other-ways', "baton('localstack', 'up')"),
  'AWS_ENDPOINT_URL=http://127.0.0.1:4566 npm start': byTest(
    'other-ways',
    'env: { AWS_ENDPOINT_URL: localstackUrl }',
  ),
  'npm run localstack -- down': byTest('other-ways', "baton('localstack', 'down')"),
  'npm run simulate -- --elections 2000 --seed 7': plainly,
  'npm run chaos -- --minutes 1': inStep('npm run --silent chaos -- --minutes 1'),
  'npm run baton -- doctor': plainly,
  'npm run synth': plainly,
};

async function onSystem(command: string): Promise<void> {
  const words = command.replace('npm run baton -- ', '').split(' ');
  const done = await eventually(
    command,
    () => system.baton(...words),
    ({ code }) => code === 0,
    15_000,
  );
  expect(done.stdout).not.toBe('');
}
/** Until Ctrl-C. */
async function goesOn(command: string): Promise<void> {
  const words = command.replace('npm run baton -- ', '').split(' ');
  const data = join(system.folder, '.baton');
  const child = spawn(process.execPath, [`${root}/emulator/cli.ts`, ...words, '--data', data], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'readable');
  child.kill('SIGINT');
  expect(await ended).toEqual([null, 'SIGINT']);
}
/** All of the faults at once would leave no majority that hears each other. */
async function onWholeSystem(command: string): Promise<void> {
  await system.baton('chaos', 'heal');
  await onSystem(command);
}
async function plainly(command: string): Promise<void> {
  const [program = '', ...args] = spoken(command);
  await run(program, args, { cwd: root, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 });
  expect(program).toBe('npm'); // It ended with 0, or run() had thrown.
}

describe('README', () => {
  test('the first command stands within the first fifteen lines', () => {
    const line = readFileSync(`${root}/README.md`, 'utf8')
      .split('\n')
      .findIndex((text) => text.startsWith('npm '));
    expect(line).toBeGreaterThan(0);
    expect(line).toBeLessThan(15);
  });
});

describe.each(['docs/local.md', 'README.md'])('%s', (document) => {
  test.for(commandsOf(document))('%s', async (command, context) => {
    const why = notRun[command];
    if (why !== undefined) context.skip(why);
    expect(Object.keys(tried), 'a command that this test does not know how to try').toContain(command);
    await tried[command]?.(command);
  });
});
