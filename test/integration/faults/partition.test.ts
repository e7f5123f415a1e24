// Elections of real processes whose network breaks: cut off, deaf one way, lossy. The links are those that
// `baton chaos` breaks.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pause } from '../../../runtime/waiting.ts';
import { RaftCluster } from '../../support/raft-cluster.ts';
import { until } from '../../support/until.ts';

// Twice what is usual: a busy machine that stands still for a moment is no cut network.
const heartbeatMs = 60;
const electionTimeoutMs = 600;

describe('links between nodes', () => {
  let cluster: RaftCluster;
  beforeAll(async () => {
    cluster = await RaftCluster.start({ nodes: 3, heartbeatMs, electionTimeoutMs, links: true });
  });
  afterAll(() => cluster.close());
  beforeEach(() => cluster.chaos('heal'));

  test('a leader that is cut off: another leads, the old one steps down by itself, and its return changes nothing', async () => {
    const before = await cluster.settled();
    await cluster.chaos(`partition ${before.id}`);
    const cutAt = performance.now();
    const next = await cluster.elections.after(before.term, 10 * electionTimeoutMs);
    expect(next.id).not.toBe(before.id);
    await until(() => cluster.role(before.id) === 'follower', 10 * electionTimeoutMs, 'stepping down');
    const note = cluster.notes(before.id).findLast(({ kind }) => kind === 'stepped-down');
    expect(note).toMatchObject({ rule: 'quorum-lost', term: before.term });
    // A cut is a timeout, never evidence: no close came through.
    expect(next.at - cutAt).toBeGreaterThan(electionTimeoutMs / 2);

    await pause(3 * electionTimeoutMs);
    await cluster.chaos('heal');
    const after = await cluster.settled();
    await pause(3 * electionTimeoutMs);
    expect(await cluster.settled()).toMatchObject({ id: next.id, term: next.term });
    expect(after.term).toBe(next.term);
  });

  test('a leader that cannot be heard loses its followers; one that cannot hear loses its quorum', async () => {
    for (const direction of ['send', 'hear']) {
      const before = await cluster.settled();
      const others = cluster.ids.filter((id) => id !== before.id).join(',');
      await cluster.chaos(
        direction === 'send'
          ? `partition ${before.id} / ${others} one-way`
          : `partition ${others} / ${before.id} one-way`,
      );
      const next = await cluster.elections.after(before.term, 10 * electionTimeoutMs);
      expect(next.id).not.toBe(before.id);
      await cluster.chaos('heal');
      const after = await cluster.settled();
      expect(after.id).toBe(next.id);
    }
  });

  test('a follower that is cut off and comes back deposes nobody, whichever way it was cut', async () => {
    for (const how of ['', ' one-way']) {
      const leader = await cluster.settled();
      const follower = cluster.ids.find((id) => id !== leader.id) ?? '';
      await cluster.chaos(`partition ${leader.id} / ${follower}${how}`);
      await pause(6 * electionTimeoutMs);
      await cluster.chaos('heal');
      await pause(2 * electionTimeoutMs);
      expect(await cluster.settled()).toMatchObject({ id: leader.id, term: leader.term });
    }
  });

  test('the death of the leader is seen through the links as without them, from its close', async () => {
    const before = await cluster.settled();
    await pause(2 * electionTimeoutMs);
    cluster.signal(before.id, 'SIGKILL');
    const next = await cluster.elections.after(before.term, 10 * electionTimeoutMs);
    // The other one may have seen it first, and this one have heard of it.
    const survivors = cluster.ids.filter((id) => id !== before.id);
    const statuses = await Promise.all(survivors.map((id) => cluster.status(id)));
    expect(Math.max(...statuses.map(({ counters }) => counters['evidence.deaths'] ?? 0))).toBeGreaterThan(0);
    await cluster.restart(before.id);
    expect(await cluster.settled()).toMatchObject({ id: next.id, term: next.term });
  });

  test('30 % loss each way, half of all twice, 20 ms of jitter: leaders stay for seconds', async () => {
    const before = await cluster.settled();
    await cluster.chaos('loss all 30% seed 7');
    await cluster.chaos('duplicate all 50% seed 7');
    await cluster.chaos('delay all 20ms+-20 seed 7');
    await pause(15_000);
    const { counters } = await cluster.status(cluster.ids[0] ?? '');
    // The faults are in force: copies arrive, and are refused.
    expect(counters['refused.replayed']).toBeGreaterThan(50);
    // None on a quiet machine, as bench/failover counts; one that others use too makes some.
    expect((cluster.elections.last?.term ?? 0) - before.term).toBeLessThanOrEqual(4);
  });
});
