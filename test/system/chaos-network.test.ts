// The network between the nodes of a running system is broken and heals, from another terminal, without root: the leader
// is cut off, loses its followers one way, hands over while items are lost on the way.
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SystemStatus } from '../../emulator/cluster/status.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const leadWithinMs = 20_000;
let system: RunningSystem;
beforeAll(async () => {
  // Terms are compared here, so a machine that stands still for a moment must not cost one.
  system = await startRunningSystem(['--no-demo', '--broker', 'development', '--timeouts', '100/1000']);
});
afterAll(async () => {
  await system?.close();
});

afterEach(async () => {
  await chaos('heal');
});

const ledBy = (good: (status: SystemStatus) => boolean) =>
  eventually(
    'another leader',
    () => system.status(),
    (status) => status.leader !== null && good(status),
    leadWithinMs,
  );
async function chaos(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await system.baton('chaos', ...words);
  if (code !== 0) throw new Error(`baton chaos ${words.join(' ')} ended with ${code}: ${stderr}`);
  return stdout.trim();
}
const stateOf = (status: SystemStatus, id: string | null) =>
  status.nodes.find((node) => node.id === id)?.state;

describe('baton chaos', () => {
  test('partition leader: another leads and can write, the old one knows that it does not, and its return is quiet', async () => {
    const before = await ledBy(() => true);
    expect(await chaos('partition', 'leader', '--for', '2m')).toBe(
      `1: partition ${before.leader}, heals in 120 s`,
    );
    const during = await ledBy(
      (status) => status.leader !== before.leader && stateOf(status, before.leader) === 'following',
    );
    expect(during.faults).toEqual([expect.stringMatching(`^1: partition ${before.leader}, heals in `)]);
    await system.change('PUT', '/sources/cut', { kind: 'partner', name: 'cut' });

    expect(await chaos('heal')).toBe(`healed: partition ${before.leader}`);
    const after = await ledBy((status) => status.nodes.every(({ term }) => term === status.term));
    expect(after).toMatchObject({ leader: during.leader, term: during.term, faults: [] });
  });

  test('one way is enough: a leader that nobody hears is replaced', async () => {
    const before = await ledBy(() => true);
    await chaos('partition', 'leader', '--one-way');
    const after = await ledBy((status) => status.leader !== before.leader);
    expect(after.term).toBeGreaterThan(before.term ?? 0);
  });

  test('a fault heals by itself', async () => {
    const seen = system.lines.length;
    await chaos('loss', 'all', '10%', '--for', '1s');
    await chaos('pause', 'ftp', '--for', '1s');
    await eventually(
      'no fault',
      () => system.status(),
      ({ faults }) => faults.length === 0,
    );
    const ofFtp = system.lines.slice(seen).filter(({ name }) => name === 'ftp');
    expect(ofFtp.map(({ state, detail }) => [state, detail])).toEqual([
      ['paused', 'asked for'],
      ['up', 'resumed'],
    ]);
  });

  test('transfer hands leadership to whom it names, also over a slow network', async () => {
    await chaos('delay', 'all', '20ms+-5');
    let target = '';
    // One that is not over within an election timeout fails by right, and may be asked for again.
    const done = await eventually(
      'handed over',
      async () => {
        const { leader, nodes } = await ledBy(() => true);
        target = nodes.find(({ id }) => id !== leader)?.id ?? '';
        return await system.baton('transfer', target);
      },
      ({ code }) => code === 0,
    );
    expect(done).toEqual({ code: 0, stdout: `handed over to ${target}\n`, stderr: '' });
    await ledBy(({ leader }) => leader === target);
  });

  test('the page does the same: a follower passes on what is asked of it, and another node leads', async () => {
    const before = await ledBy(() => true);
    const follower = system.ready.nodes.find(({ id }) => id !== before.leader);
    const { operator } = await system.secret<{ operator: string }>('tokens.json');
    const { statusCode, body } = await request(`${follower?.url}/faults`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/json' },
      body: JSON.stringify({ command: 'pause leader for 60s' }),
    });
    expect([statusCode, await body.json()]).toEqual([
      200,
      { done: expect.stringContaining(`pause ${before.leader}`) as string },
    ]);
    const after = await ledBy(({ leader }) => leader !== before.leader);
    expect(after.faults).toEqual([expect.stringContaining(`pause ${before.leader}`)]);
  });

  test('what cannot be meant says what can: usage is exit code 2, a wrong name 1', async () => {
    const misread = await system.baton('chaos', 'loss', 'leader', '300%');
    expect(misread).toMatchObject({ code: 2, stderr: expect.stringContaining('partition <nodes>') });
    const unknown = await system.baton('chaos', 'partition', 'node-9');
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('there are node-1') });
    expect(await chaos('list')).toBe('no fault is active');
  });
});
