// A store in memory and a raft thread that does as told, for tests of the node's listeners. What a test did not
// order throws, so that nothing passes by accident.
import { randomUUID } from 'node:crypto';
import type { Member } from '../../../contracts/environment.ts';
import type { FileAnswer } from '../../../contracts/node-api.ts';
import type { NodeSettings } from '../../../nodes/node.ts';
import type { RoleView } from '../../../nodes/raft/types.ts';
import type { BrokerClient } from '../../../runtime/rabbitmq.ts';
import type { RaftThread } from '../../../nodes/raft-thread/thread.ts';
import type { Watch } from '../../../contracts/public-api.ts';
import type { ItemEvent, StagedRow, Store } from '../../../nodes/store.ts';
import { Failure } from '../../../runtime/failure.ts';

/** Of a node by itself, on free ports of this machine. */
export const loneNode = (over: Partial<NodeSettings> = {}): NodeSettings => ({
  nodeId: 'node-1',
  bootId: 'a'.repeat(32),
  cluster: 'test',
  clusterId: randomUUID(),
  generation: 1,
  members: [memberAt('http://127.0.0.1:1')],
  bind: '127.0.0.1',
  publicPort: 0,
  internalPort: 0,
  mailFrom: 'baton@example.org',
  ...over,
});
export const memberAt = (publicUrl: string): Member => ({
  id: 'node-1',
  udp: '127.0.0.1:1',
  internalUrl: 'https://127.0.0.1:1',
  publicUrl,
  voter: true,
});

export function simulatedRaft() {
  let role: RoleView = { kind: 'follower', leader: null };
  let term = 0;
  const listeners: Parameters<RaftThread['onRole']>[0][] = [];
  const refused: number[] = [];
  const health: Parameters<RaftThread['reportHealth']>[0][] = [];
  const raft: RaftThread = {
    status: () => ({ role, term, peers: {}, abstaining: false, counters: {} }),
    onRole: (listener) => void listeners.push(listener),
    onNote: () => undefined,
    onProblem: () => undefined,
    onDeath: () => undefined,
    reportHealth: (report) => void health.push(report),
    fenceRefused: (databaseTerm) => void refused.push(databaseTerm),
    useKeys: () => undefined,
    transfer: async () => ({ kind: 'done' }),
    close: async () => undefined,
  };
  const become = (next: RoleView, nextTerm: number): void => {
    role = next;
    term = nextTerm;
    for (const listener of listeners) listener({ role, term, reason: 'ordered by the test' });
  };
  return { raft, become, refused, health };
}

/** Takes everything, and holds nothing. */
export const simulatedBroker: BrokerClient = {
  publish: async () => undefined,
  depth: async () => 0,
  take: async () => 0,
  close: async () => undefined,
};

export function simulatedStore() {
  const feed: ItemEvent[] = [];
  const staged: StagedRow[] = [];
  /** Uploads whose rows nobody has cleared. */
  const leftStaged = new Set<string>();
  const applied: string[] = [];
  const watched: Omit<Watch, 'id'>[] = [];
  /** Watches. */
  const ended: string[] = [];
  const files = new Map<
    string,
    { name: string; intake: number; size: number; currency: string | null; settled?: FileAnswer }
  >();
  const orders = { databaseTerm: 0, feedId: '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11', first: 1 };
  const known: Partial<Store> = {
    ping: async () => ({ readOnly: false }),
    rehearse: async () => undefined,
    writeOutage: () => undefined,
    claim: async ({ term }) => {
      if (orders.databaseTerm > term) return { kind: 'refused', databaseTerm: orders.databaseTerm };
      orders.databaseTerm = term;
      return { kind: 'claimed' };
    },
    writeBatch: async (term, items) => {
      if (orders.databaseTerm > term)
        throw new Failure('STALE_TERM', 'simulated', { details: { databaseTerm: orders.databaseTerm } });
      return items.map(() => ({ kind: 'applied' as const }));
    },
    feedBounds: async () => ({ feed: orders.feedId, first: orders.first, last: feed.length }),
    feed: async ({ after, limit }) => feed.slice(after, after + limit),
    makeNotices: async () => false,
    dueDigests: async () => [],
    readDigest: async () => undefined,
    dueMails: async () => [],
    deferredMails: async () => 0,
    putWatch: async (_term, watch) => ({ id: `watch-${watched.push(watch)}`, ...watch }),
    deleteWatch: async (_term, id) => ended.push(id) > 0,
    openDeadLetters: async () => ({}),
    keepDeliveries: async () => undefined,
    deadLettersToSend: async () => [],
    recentLeaders: async () => [],
    items: async () => [],
    item: async () => undefined,
    fileIntake: async (id) => files.get(id),
    stageRows: async (upload, rows) => {
      leftStaged.add(upload);
      staged.push(...rows);
    },
    clearStaged: async (upload) => void leftStaged.delete(upload),
    applyUpload: async (_term, { fileId, rows, invalid, problems }) => {
      applied.push(fileId);
      return {
        kind: 'applied',
        reason: null,
        rows,
        applied: rows - invalid,
        unchanged: 0,
        stale: 0,
        invalid,
        vanished: 0,
        differences: 0,
        problems,
        incomplete: null,
      };
    },
    rejectFile: async (_term, { reason, problems }) => ({
      kind: 'rejected',
      reason,
      rows: 0,
      applied: 0,
      unchanged: 0,
      stale: 0,
      invalid: 0,
      vanished: 0,
      differences: 0,
      problems,
      incomplete: null,
    }),
  };
  const store = new Proxy(known, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      (() => {
        throw new Error(`the test did not order ${String(name)}`);
      }),
  }) as Store;
  return { store, feed, staged, leftStaged, applied, watched, ended, files, orders };
}

export function itemEvent(id: number): ItemEvent {
  return {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    process: 'database',
    type: 'item.changed',
    id,
    source: 'shop',
    sku: `s${id}`,
    itemVersion: id,
    change: 'price',
    title: `Item ${id}`,
    price: 8,
    previousPrice: 10,
    currency: 'EUR',
    inStock: true,
    term: 1,
  };
}
