// Secrets that are renewed while nodes run, as Secrets Manager and the secret keeper do it on AWS: the cluster key rolls from
// node to node without a lost heartbeat, and the internal listener shows its new certificate without a restart.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Member } from '../../../contracts/environment.ts';
import type { ClusterKeys } from '../../../contracts/secrets.ts';
import { createNode } from '../../../nodes/node.ts';
import type { RaftThread } from '../../../nodes/raft-thread/thread.ts';
import { renewal, watchRenewals } from '../../../nodes/renewals.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { pause } from '../../../runtime/waiting.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { freePorts } from '../../support/ports.ts';
import { membersAt, startThread, threadOptions } from '../../support/raft-threads.ts';
import { until } from '../../support/until.ts';
import { loneNode, simulatedBroker, simulatedRaft, simulatedStore } from '../node/simulated-edges.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'baton-renewals-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('cluster keys', () => {
  const electionTimeoutMs = 1_000; // A busy machine is no reason for an election here.
  const heartbeatMs = 50;
  const [old, fresh] = [1, 2].map((id) => ({ id, key: randomBytes(32).toString('base64') })) as [
    ClusterKeys['current'],
    ClusterKeys['current'],
  ];
  let members: Member[];
  let threads: RaftThread[];

  const start = ({ id }: Member, keys: ClusterKeys): Promise<RaftThread> =>
    startThread(threadOptions(id, { folder, members, keys, heartbeatMs, electionTimeoutMs }));
  beforeAll(async () => {
    members = membersAt(await freePorts(3));
    threads = await Promise.all(members.map((member) => start(member, { current: old })));
  });
  afterAll(() => Promise.all(threads.map((thread) => thread.close())));

  const leader = () => threads.find((thread) => thread.status().role.kind === 'leader');
  const followers = () =>
    threads.filter((thread) => {
      const { role } = thread.status();
      return role.kind === 'follower' && role.leader !== null;
    });
  const settled = () =>
    until(() => followers().length === 2 && leader(), 15_000, 'one leader and two followers');

  test('cluster keys: a new key comes and the old one goes, node after node, and nobody refuses a heartbeat', async () => {
    const first = await settled();
    const { term } = first.status();
    const changes: string[] = [];
    for (const thread of threads)
      thread.onRole(({ role, reason }) => changes.push(`${role.kind}: ${reason}`));
    const refused = (): number[] =>
      threads.map((thread) =>
        Object.entries(thread.status().counters)
          .filter(([what]) => what.startsWith('refused.'))
          .reduce((sum, [, count]) => sum + count, 0),
      );
    const before = refused();
    for (const keys of [{ current: fresh, previous: old }, { current: fresh }])
      for (const thread of threads) {
        thread.useKeys(keys);
        await pause(3 * heartbeatMs);
      }
    // So long that a node that hears nobody would have stood for election.
    await pause(2 * electionTimeoutMs);
    expect(changes).toEqual([]);
    expect(leader()).toBe(first);
    expect(first.status().term).toBe(term);
    expect(refused()).toEqual(before);
  });

  test('cluster keys: another key under an id that is in use is refused by name, and changes nothing', async () => {
    const first = await settled();
    const typo = { id: fresh.id, key: randomBytes(32).toString('base64') };
    const look = renewal(
      'the cluster key',
      { current: fresh },
      async () => ({ current: typo }),
      (keys) => first.useKeys(keys),
    );
    await expect(look.look()).rejects.toThrow(`the cluster key with id ${fresh.id} is another one`);
    await pause(2 * electionTimeoutMs);
    expect(await settled()).toBe(first);
  });

  test('cluster keys: after it the new key is the only one: who has the old one alone is not heard', async () => {
    const first = await settled();
    const index = threads.findIndex((thread) => thread !== first);
    const member = members[index] as Member;
    await threads[index]?.close();
    threads[index] = await start(member, { current: old });
    await until(
      () => (first.status().counters['refused.unknown-key'] ?? 0) > 0,
      5_000,
      'a refusal of the old key',
    );
    expect(threads[index].status().role).toMatchObject({ leader: null });
    await threads[index].close();
    threads[index] = await start(member, { current: fresh });
    await settled();
    expect(first.status().role.kind).toBe('leader');
  });
});

describe('certificates', () => {
  let before: TestCertificates;
  let after: TestCertificates;
  beforeAll(async () => {
    const make = (name: string) => {
      fs.mkdirSync(join(folder, name));
      return makeCertificates(join(folder, name));
    };
    [before, after] = [await make('before'), await make('after')];
  });

  /** Which certificate the listener shows to a caller that has one of `tls`. */
  const shownTo = (url: string, tls: TestCertificates) =>
    new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(url);
      const socket = connect(
        { host: hostname, port: Number(port), ca: tls.ca, cert: tls.cert, key: tls.key },
        () => {
          resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? 'none');
          socket.destroy();
        },
      );
      socket.on('error', reject);
    });

  test('certificates: a renewed one is shown from the next connection on, and one that is none changes nothing', async () => {
    const node = await createNode(loneNode(), {
      raft: simulatedRaft().raft,
      store: simulatedStore().store,
      tls: before,
      page: undefined,
      broker: simulatedBroker,
      sendAnnouncement: async () => undefined,
      tokens: async () => ({ reader: 'r'.repeat(16), editor: 'e'.repeat(16), operator: 'o'.repeat(16) }),
      logger: createLogger({ process: 'node-1', write: () => undefined }),
    });
    let stored: TestCertificates = before;
    const problems: string[] = [];
    const renewals = watchRenewals(
      [
        renewal(
          'the certificate',
          before,
          () => Promise.resolve(stored),
          (tls) => node.useTls(tls),
        ),
      ],
      { report: (detail) => problems.push(detail), everyMs: 20 },
    );
    try {
      const first = await shownTo(node.internalUrl, before);
      stored = { ...after, key: 'no key' };
      await until(() => problems.length > 0, 5_000, 'a report of the wrong key');
      expect(problems[0]).toMatch(/^the certificate cannot be renewed, the one before stays in use/);
      expect(problems[0]).not.toContain('no key');
      expect(await shownTo(node.internalUrl, before)).toBe(first);
      stored = after;
      await expect.poll(() => shownTo(node.internalUrl, after).catch(() => first)).not.toBe(first);
      // Of another authority by now, so a caller with the old certificate does not believe it.
      await expect(shownTo(node.internalUrl, before)).rejects.toThrow(/certificate|alert/);
    } finally {
      renewals.close();
      await node.close('the test is over');
    }
  });
});
