// Every command of the README, of the runbook and of the pages about running it locally is tried, as it stands there, against
// a system that was started as two of them say. One that nobody knows how to try fails, so that none is added without being
// tried; one that is not run here is skipped by name, with what runs it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { itemVersion } from '../../contracts/ids.ts';
import { item } from '../integration/database/fresh-database.ts';
import { connectToBrokerOf, enterSourceByHand, publishPage } from '../support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const documents = ['docs/local.md', 'docs/invoking-functions.md', 'docs/runbook.md', 'README.md'];
/** Of its blocks; of the runbook those within sentences too, but for those with a <placeholder>. */
function commandsOf(document: string): string[] {
  const text = readFileSync(`${root}/${document}`, 'utf8');
  const blocks = [...text.matchAll(/```sh\n(?<block>[^`]*)```/g)].flatMap((match) =>
    (match.groups?.['block'] ?? '').replaceAll(/ *\\\n */g, ' ').split('\n'),
  );
  const sentences =
    document === 'docs/runbook.md'
      ? [...text.matchAll(/`(npm run [^`<]+)`/g)].map(([, one]) => one ?? '')
      : [];
  return [...blocks, ...sentences].map((line) => line.replace(/ +# .*$/, '')).filter((line) => line !== '');
}
const run = promisify(execFile);
const traced = 'OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 npm start';
let collector: Server;
/** What the collector was asked. */
const told: string[] = [];
let system: RunningSystem;

beforeAll(async () => {
  const [variable = '', url = ''] = (traced.split(' ')[0] ?? '').split('=');
  collector = createServer((asked, answer) => {
    told.push(`${asked.method} ${asked.url}`);
    asked.resume();
    answer.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  collector.listen(Number(new URL(url).port), '127.0.0.1');
  await once(collector, 'listening');
  system = await startRunningSystem([], { env: { [variable]: url } });
});
afterAll(async () => {
  await system?.close();
  collector?.close();
});

/** Resolves to what runs it instead, when it is not run here. */
type Try = (command: string) => Promise<string | void>;

const wordsOf = (command: string): string[] =>
  [...command.replace('npm run baton -- ', '').matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  );
const onSystem: Try = async (command) => {
  const done = await eventually(
    command,
    () => system.baton(...wordsOf(command)),
    ({ code }) => code === 0,
    60_000,
  );
  expect(done.stdout).not.toBe('');
};
/** All of the faults at once would leave no majority that hears each other. */
const onWholeSystem: Try = async (command) => {
  await system.baton('chaos', 'heal');
  await onSystem(command);
};
/** Until Ctrl-C. */
const goesOn: Try = async (command) => {
  const data = join(system.folder, '.baton');
  const child = spawn(process.execPath, [`${root}/emulator/cli.ts`, ...wordsOf(command), '--data', data], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'readable');
  child.kill('SIGINT');
  expect(await ended).toEqual([null, 'SIGINT']);
};
/** Without a system. */
const plainly: Try = async (command) => {
  const [program = '', ...args] = command.split(' ');
  await run(program, args, { cwd: root, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 });
  expect(program).toBe('npm'); // It ended with 0, or run() had thrown.
};
const startsTheSystem: Try = async () => {
  await eventually(
    'the first items',
    () => system.status(),
    ({ counts }) => (counts.items ?? 0) > 0,
    60_000,
  );
};
/** The system runs whole, so it is refused in words. */
const isNotNeeded: Try = async (command) => {
  await system.baton('chaos', 'heal');
  const { stderr } = await eventually(
    command,
    () => system.baton(...wordsOf(command)),
    ({ stderr: said }) => said.includes('node-3 runs and votes'),
    60_000,
  );
  expect(stderr).toContain('there is nothing to recover');
};

let published = 0;
async function publishMalformed(): Promise<void> {
  await enterSourceByHand(system, 'by-hand');
  const ordinal = published++;
  const lamp = item(`lamp-${ordinal}`, itemVersion({ intake: 1, ordinal }), { price: 'ten' as never });
  const broker = await connectToBrokerOf(system);
  await publishPage(broker, { page: ordinal, items: [{ ...lamp, source: 'by-hand' }] });
  await broker.close();
}
async function waitingLetters(): Promise<{ id: number; group: string }[]> {
  const { stdout } = await system.baton(...'dlq list --source by-hand --state waiting --json'.split(' '));
  const lines = stdout.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as { id: number; group: string });
}
/** With the id and the group of one that waits in the place of those in the document. */
async function aboutLetter(command: string): Promise<string> {
  let [letter] = await waitingLetters();
  if (!letter) {
    await publishMalformed();
    [letter] = await eventually('a dead letter', waitingLetters, ([one]) => one !== undefined, 60_000);
  }
  return command.replace('3e95c8c7b1', letter?.group ?? '').replace(' 17', ` ${letter?.id}`);
}
const onLetter: Try = async (command) => {
  const { code, stdout, stderr } = await system.baton(...wordsOf(await aboutLetter(command)));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).not.toBe('');
};
const inEditor: Try = async (command) => {
  const before = process.env['VISUAL'];
  process.env['VISUAL'] = `sed -i.before 's/"ten"/10/'`;
  try {
    await onLetter(command);
  } finally {
    if (before === undefined) delete process.env['VISUAL'];
    else process.env['VISUAL'] = before;
  }
  await eventually(
    'the corrected item',
    () => system.get<{ items: { sku: string }[] }>('/items?source=by-hand'),
    ({ items }) => items.length === 1,
    60_000,
  );
};
const inShell: Try = async (command) => {
  const { editor } = await system.secret<{ editor: string }>('tokens.json');
  const env = { ...process.env, NODE: await system.leaderUrl(), EDITOR_TOKEN: editor };
  const { stdout } = await run('/bin/sh', ['-c', command], { env });
  expect(JSON.parse(stdout)).toMatchObject({ about: 'files', source: 'acme' });
};

/** At the demo shop of this system, which has a port of its own. */
const atShop: Try = async (command) => {
  const shop = new URL(system.ready.demoShop ?? '').host;
  const file = join(system.folder, 'shop.json');
  await writeFile(
    file,
    readFileSync(`${root}/docs/examples/shop.json`, 'utf8').replace('127.0.0.1:7430', shop),
  );
  const here = command.replaceAll('127.0.0.1:7430', shop).replace('docs/examples/shop.json', file);
  const { stdout } = await run(process.execPath, [`${root}/emulator/cli.ts`, ...wordsOf(here)]);
  expect(stdout).toMatch(/Items \([15]\)\n[^]*Problems \(0\)\n/);
};

/** Minutes long: CI has a step for it. */
const inStep =
  (step: string): Try =>
  async () => {
    expect(readFileSync(`${root}/.ci/run`, 'utf8')).toContain(step);
    return 'CI has a step for it';
  };
/** In containers: only its call is looked for here. */
const byTest =
  (file: 'whole-system' | 'other-ways', call: string): Try =>
  async () => {
    const path = `test/compose/${file}.test.ts`;
    expect(readFileSync(`${root}/${path}`, 'utf8')).toContain(call);
    return `${path} runs it${file === 'other-ways' ? ', and CI that with CI_FULL=1 alone' : ''}`;
  };
const whole = (call: string): Try => byTest('whole-system', call);
const not =
  (why: string): Try =>
  async () =>
    why;
const sqlInContainer = not(
  'test/integration/database/sql-by-hand.test.ts runs the module that it runs, out of containers',
);
const recoversInContainer = not(
  'test/system/node-recover.test.ts runs the module that it runs, out of containers',
);

const tried: Readonly<Record<string, Try>> = {
  'npm ci && npm start': startsTheSystem,
  'npm start': startsTheSystem,
  [traced]: async () => {
    await eventually(
      'spans',
      async () => told,
      (seen) => seen.includes('POST /v1/traces'),
      60_000,
    );
  },
  'npm ci && npm test': not('CI has a step for it'),
  'npm run baton -- status': onSystem,
  'npm run baton -- status --watch': goesOn,
  'npm run baton -- logs --follow': goesOn,
  'npm run baton -- logs scraper deliver --since 10m': onSystem,
  'npm run baton -- restart lambda': onSystem,
  'npm run baton -- restart node-1 node-2 node-3': onSystem,
  'npm run baton -- open': async () => {
    const { stdout } = await system.baton('open');
    const opened = await fetch(stdout.trim(), { redirect: 'manual' });
    expect([opened.status, opened.headers.get('set-cookie')]).toEqual([303, expect.any(String)]);
  },
  'npm run baton -- source try http://127.0.0.1:7430/p/LAM-001 --private-shop 127.0.0.1:7430': atShop,
  'npm run baton -- source try docs/examples/shop.json --private-shop 127.0.0.1:7430': atShop,
  'npm run baton -- source put docs/examples/shop.json': onSystem,
  'npm run baton -- source list': async (command) => {
    await onSystem(command);
    expect((await system.baton('source', 'list')).stdout).toMatch(/my-shop +shop/);
  },
  'npm run baton -- source delete my-shop --yes': async (command) => {
    await onSystem(command);
    expect((await system.baton('source', 'list')).stdout).not.toContain('my-shop');
    expect(await system.baton('source', 'delete', 'my-shop', '--yes')).toMatchObject({ code: 1 });
  },
  'npm run baton -- nodes': onSystem,
  'npm run baton -- kill leader': onSystem,
  'npm run baton -- kill broker': onSystem,
  'npm run baton -- pause leader': onSystem,
  'npm run baton -- resume': onSystem,
  'npm run baton -- chaos partition leader': onSystem,
  'npm run baton -- chaos heal': onSystem,
  'npm run baton -- chaos partition node-1 / node-2,node-3 --one-way --for 1m': onWholeSystem,
  'npm run baton -- chaos delay node-1 20ms+-5': onWholeSystem,
  'npm run baton -- chaos loss all 30%': onWholeSystem,
  'npm run baton -- chaos duplicate all 50%': onWholeSystem,
  'npm run baton -- chaos reorder node-2 / node-3 25%': onWholeSystem,
  'npm run baton -- chaos pause leader --for 10s': onWholeSystem,
  'npm run baton -- chaos list': onSystem,
  'npm run baton -- transfer': onSystem,
  'npm run baton -- transfer node-2': async (command) => {
    // Who leads already takes nothing over.
    if ((await system.status()).leader === 'node-2') await system.baton('transfer', 'node-1');
    await onWholeSystem(command);
  },
  'npm run baton -- node recover node-3': isNotNeeded,
  'npm run baton -- node recover node-3 --yes': isNotNeeded,
  'npm run baton -- dlq list': onSystem,
  'npm run baton -- dlq list --group 3e95c8c7b1': onLetter,
  'npm run baton -- dlq show 17': onLetter,
  'npm run baton -- dlq edit 17 --retry': inEditor,
  'npm run baton -- dlq retry --group 3e95c8c7b1': onLetter,
  'npm run baton -- dlq discard 17 --reason "..."': onLetter,
  'npm run baton -- dlq actions': onSystem,
  'npm run baton -- trace demo-shop/BOO-001': onSystem,
  'npm run baton -- erase ann@example.org': onSystem,
  'npm run baton -- invoke scraper': onSystem,
  'npm run baton -- invoke deliver --event test/support/events/rabbitmq-items-page.json': onSystem,
  'npm run baton -- invoke ftp-sync --event test/support/events/sqs-tick.json': onSystem,
  [`curl -X POST $NODE/watches -H "authorization: Bearer $EDITOR_TOKEN" -H 'content-type: application/json' -d '{"email":"owner@example.org","about":"files","source":"acme"}'`]:
    inShell,
  'npm run baton -- down': async () => {
    expect((await system.baton('down')).code).toBe(0);
  },
  'npm run baton -- sql "SELECT release, since FROM functions_in_force"': onSystem,
  'npm run baton -- up --restored': not('test/system/restored.test.ts runs it'),
  'npm run simulate -- --elections 2000 --seed 7': plainly,
  'npm run chaos -- --minutes 1': inStep('npm run --silent chaos -- --minutes 1'),
  'npm run baton -- doctor': plainly,
  'npm run synth': plainly,

  'npm run compose -- up': whole("baton('compose', 'up'"),
  'npm run compose -- up --item-partitions 4': whole("baton('compose', 'up', '--item-partitions'"),
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
  'docker compose -f emulator/compose.yaml up --build --detach': not(
    '`baton compose up` runs the same and waits',
  ),
  'docker compose -f emulator/compose.yaml down --volumes': not(
    '`baton compose down --volumes` runs the same',
  ),
  'docker compose -f emulator/compose.yaml stop node-3': recoversInContainer,
  'docker compose -f emulator/compose.yaml run --rm --no-deps node-3 node nodes/recover.ts':
    recoversInContainer,
  'docker compose -f emulator/compose.yaml start node-3': recoversInContainer,
  'docker compose -f emulator/compose.yaml run --rm --no-deps node-1 node nodes/sql.ts --yes "SELECT release, since FROM functions_in_force"':
    sqlInContainer,
  'docker compose -f emulator/compose.yaml stop node-1 node-2 node-3': sqlInContainer,
  'docker compose -f emulator/compose.yaml run --rm --no-deps node-1 node nodes/sql.ts --yes --file nodes/database/restored.sql':
    sqlInContainer,
  'docker compose -f emulator/compose.yaml start node-1 node-2 node-3': sqlInContainer,
  'aws lambda invoke --endpoint-url http://127.0.0.1:PORT --function-name redirect --cli-binary-format raw-in-base64-out --payload file://test/support/events/function-url.json answer.json':
    not('CI has no AWS CLI; whatever invokes a function here uses the same API'),
};

describe('README', () => {
  test('the first command stands within the first fifteen lines', () => {
    const line = readFileSync(`${root}/README.md`, 'utf8')
      .split('\n')
      .findIndex((text) => text.startsWith('npm '));
    expect(line).toBeGreaterThan(0);
    expect(line).toBeLessThan(15);
  });
});

describe('each once, in the order of the documents, and last what ends the system', () => {
  const commands = [...new Set(documents.flatMap(commandsOf))];
  const isLast = (command: string): boolean => command.endsWith('-- down') && command.includes('baton');
  test('there are commands to try, and no others', () => {
    expect(Object.keys(tried).filter((command) => !commands.includes(command))).toEqual([]);
  });
  test.for([...commands.filter((one) => !isLast(one)), ...commands.filter(isLast)])(
    '%s',
    async (command, context) => {
      expect(Object.keys(tried), 'a command that this test does not know how to try').toContain(command);
      const instead = await tried[command]?.(command);
      if (typeof instead === 'string') context.skip(instead);
    },
  );
});
