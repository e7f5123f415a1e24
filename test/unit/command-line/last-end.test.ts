// Why a service ended, as `status` says it: from what it printed last.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { statusText } from '../../../emulator/commands/status-text.ts';
import { endsOfNodes, type ServiceView, type SystemStatus } from '../../../emulator/cluster/status.ts';
import { lineText, Supervisor, tellingLine } from '../../../emulator/launcher/supervisor.ts';

test('of a stack trace its first line counts, of JSON its message', () => {
  const trace = [
    'node:internal/errors:540',
    'Error: the port is taken',
    '    at Server.listen (node:net:1)',
    '    at main.ts:3 {',
    "  code: 'EADDRINUSE'",
    '}',
    '',
    'Node.js v24.21.0',
  ];
  expect(tellingLine(trace)).toBe('Error: the port is taken');
  expect(tellingLine(['{"level":"fatal","msg":"no vote file"}'])).toBe('no vote file');
  expect(tellingLine(['Error: old', '{"level":"info","event":true,"type":"role.changed"}'])).toBe(
    'Error: old',
  );
  expect(tellingLine(['{"ready":true,"address":"x"}'])).toBe(undefined);
  expect(tellingLine([])).toBe(undefined);
});

test('nodes and services that were restarted say how often, why, and where to read on', () => {
  const service = (name: string, kind: ServiceView['kind'], restarts: number): ServiceView => ({
    name,
    kind,
    state: 'up',
    address: '',
    pid: 1,
    restarts,
    lastEnd: restarts > 0 ? `ended by exit code 2: ${name} is wrong` : null,
    log: `/data/logs/${name}.log`,
  });
  const node = {
    state: 'following' as const,
    term: 1,
    url: '',
    internalUrl: '',
    udp: '',
    pid: 1,
    problems: [],
  };
  const text = statusText({
    leader: null,
    term: 1,
    nodes: [{ ...node, id: 'node-1', health: 'ok' }],
    services: [service('node-1', 'node', 3), service('ftp', 'ftp', 1), service('smtp', 'smtp', 0)],
    counts: {
      items: 0,
      itemVersions: 0,
      files: 0,
      mailsSent: 0,
      deadLetters: 0,
      queued: 0,
    } satisfies SystemStatus['counts'],
    faults: [],
  });
  for (const said of ['restarted 3 times', 'exit code 2: node-1 is wrong', '/data/logs/node-1.log'])
    expect(text).toContain(said);
  for (const said of ['restarted once', 'exit code 2: ftp is wrong', '/data/logs/ftp.log'])
    expect(text).toContain(said);
  expect(text).not.toContain('smtp.log');
});

/** What a service prints, and how it ends, as the supervisor tells it. */
async function lastEndOf(program: string): Promise<{ lastEnd: string | null; refusal: string }> {
  const logs = await mkdtemp(join(tmpdir(), 'baton-ends-'));
  const nothing = (): void => undefined;
  const supervisor = new Supervisor({ logs, onChange: nothing, onLine: nothing, onGroups: nothing });
  const refusal = await supervisor
    .start({
      name: 'broker',
      kind: 'broker',
      address: '',
      about: '',
      command: { file: process.execPath, args: ['-e', program], env: {} },
      startWithinMs: 20_000,
      stopSignal: 'SIGTERM',
      stopWithinMs: 1_000,
    })
    .then(() => '', String);
  const lastEnd = supervisor.views()[0]?.lastEnd ?? null;
  await rm(logs, { recursive: true });
  return { lastEnd, refusal };
}

test('one that was killed did not say why', async () => {
  const { lastEnd } = await lastEndOf(
    "console.log('closing a connection'); process.kill(process.pid, 'SIGKILL')",
  );
  expect(lastEnd).toMatch(/^ended by SIGKILL at \d\d:\d\d:\d\d$/);
});

test('one that was killed by `baton kill` says that this was on purpose, and one that dies later does not', async () => {
  const logs = await mkdtemp(join(tmpdir(), 'baton-ends-'));
  const supervisor = new Supervisor({ logs, onChange() {}, onLine() {}, onGroups() {} });
  await supervisor.start({
    name: 'ftp',
    kind: 'ftp',
    address: '',
    about: '',
    command: {
      file: process.execPath,
      args: ['-e', `console.log('{"ready":true}'); setInterval(() => {}, 1000)`],
      env: {},
    },
    startWithinMs: 20_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 1_000,
  });
  const view = () => supervisor.views()[0];
  supervisor.kill('ftp');
  await vi.waitUntil(() => view()?.restarts === 1 && view()?.state === 'up', 20_000);
  expect(view()?.lastEnd).toMatch(/^killed on purpose at \d\d:\d\d:\d\d$/);
  process.kill(view()?.pid ?? 0, 'SIGKILL');
  await vi.waitUntil(() => view()?.restarts === 2, 20_000);
  expect(view()?.lastEnd).toMatch(/^ended by SIGKILL at/);
  await supervisor.stop('ftp');
  await rm(logs, { recursive: true });
});

test('what only some nodes say carries their names; a service shows its address', () => {
  const node = (id: string, problems: readonly string[]): SystemStatus['nodes'][number] => ({
    id,
    problems,
    state: 'following',
    term: 2,
    url: '',
    internalUrl: '',
    udp: '',
    pid: 1,
    health: 'ok',
  });
  const text = statusText({
    leader: 'node-1',
    term: 2,
    faults: [],
    nodes: [
      node('node-1', ['RabbitMQ is away']),
      node('node-2', ['RabbitMQ is away', 'it knows of no leader']),
    ],
    services: [
      {
        name: 'smtp',
        kind: 'smtp',
        state: 'up',
        address: '127.0.0.1:25',
        pid: 1,
        restarts: 0,
        lastEnd: null,
        log: null,
      },
    ],
    counts: { items: 0, itemVersions: 0, files: 0, mailsSent: 0, deadLetters: 0, queued: 0 },
  });
  expect(text).toContain('  ! RabbitMQ is away\n');
  expect(text).toContain('  ! node-2: it knows of no leader\n');
  expect(text).toContain('127.0.0.1:25');
});

test('advice in a line of JSON is told whole, and without its stack', async () => {
  const msg = `the journal is broken: ${'x'.repeat(400)}: delete it`;
  const line = JSON.stringify({
    level: 'error',
    at: 'now',
    process: 'broker',
    stack: 'at x\n'.repeat(500),
    msg,
  });
  const { lastEnd, refusal } = await lastEndOf(`console.log(${JSON.stringify(line)}); process.exit(1)`);
  expect(lastEnd?.replace(/ at [\d:]{8}/, '')).toBe(`ended by exit code 1: ${msg}`);
  expect(refusal).toContain(`its last lines:\n  ${msg}\n`);
  expect(lineText('plain { line')).toBe('plain { line');
});

test('why nobody leads is told by the first node that ended, and which others did', () => {
  const view = { kind: 'node', state: 'restarting', address: '', pid: null, restarts: 1, log: null } as const;
  const node = (name: string, lastEnd: string | null): ServiceView => ({ ...view, name, lastEnd });
  const ended = ['node-2', 'node-3'].map((name) => node(name, `ended by exit code 1: ${name} is wrong`));
  expect(endsOfNodes([node('node-1', null), ...ended])).toBe(
    ': node-2 ended by exit code 1: node-2 is wrong; node-3 ended, too',
  );
  expect(endsOfNodes(ended.slice(1))).toBe(': node-3 ended by exit code 1: node-3 is wrong');
  expect(endsOfNodes([node('node-1', null)])).toBe('');
});
