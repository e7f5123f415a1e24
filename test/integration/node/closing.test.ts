// What the election hears of a node's database, and of a node that ends.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { createNode } from '../../../nodes/node.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { loneNode, simulatedBroker, simulatedRaft, simulatedStore } from './simulated-edges.ts';

test('a database that only reads is none to lead with; a node that ends leads no more, whatever its database says last', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'baton-closing-'));
  const { raft, health } = simulatedRaft();
  const { store } = simulatedStore();
  let answer = (_said: { readOnly: boolean }): void => undefined;
  const asking = { store: 0 };
  store.ping = () => {
    asking.store += 1;
    return new Promise((resolve) => (answer = resolve));
  };
  const node = await createNode(loneNode(), {
    raft,
    store,
    tls: await makeCertificates(folder),
    page: undefined,
    broker: simulatedBroker,
    sendAnnouncement: async () => undefined,
    tokens: async () => ({ reader: 'r'.repeat(16), editor: 'e'.repeat(16), operator: 'o'.repeat(16) }),
    logger: createLogger({ process: 'node-1', write: () => undefined }),
  });
  try {
    answer({ readOnly: true });
    await vi.waitUntil(() => health.length === 1);
    expect(health).toMatchObject([
      { fit: true, databaseReachable: false, reason: expect.stringMatching(/takes no writes/) },
    ]);
    await vi.waitUntil(() => asking.store === 2, { timeout: 5_000 });
  } finally {
    await node.close('the test ends');
    await rm(folder, { recursive: true });
  }
  answer({ readOnly: false });
  await new Promise((resolve) => setImmediate(resolve));
  expect(health.slice(1)).toMatchObject([{ fit: false, reason: 'this node stops' }]);
});
