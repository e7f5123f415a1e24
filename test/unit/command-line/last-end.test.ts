// Why a service ended, as `status` says it: from what it printed last.
import { expect, test } from 'vitest';
import { statusText } from '../../../emulator/commands/running.ts';
import type { SystemStatus } from '../../../emulator/cluster/status.ts';
import type { ServiceView } from '../../../emulator/cluster/status.ts';
import { tellingLine } from '../../../emulator/launcher/supervisor.ts';

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
  const node = { role: 'following', term: 1, url: '', internalUrl: '', udp: '', pid: 1, problems: [] };
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
