// What the page decides before it draws: how members stand, which changes and events it keeps.
import { expect, test } from 'vitest';
import type { BatonEvent } from '../../../contracts/event.ts';
import type { ClusterView } from '../../../contracts/public-api.ts';
import { addChanges, changesKept, type ItemChange } from '../../../nodes/dashboard/changes.ts';
import { addToLog, logKept } from '../../../nodes/dashboard/event-log.ts';
import { leadershipText, standingOf } from '../../../nodes/dashboard/standing.ts';

const member = (id: string, lastContactMs: number | null, voter = true) => ({
  id,
  udp: '127.0.0.1:1',
  internalUrl: 'https://127.0.0.1:1',
  publicUrl: 'http://127.0.0.1:1',
  voter,
  lastContactMs,
});
const hint = (nodeId: string) => ({ nodeId, term: 3, internalUrl: 'https://a', publicUrl: 'http://a' });
const asLeader: ClusterView = {
  nodeId: 'node-1',
  role: { kind: 'leader' },
  term: 3,
  state: { kind: 'leading', term: 3 },
  abstaining: false,
  leader: hint('node-1'),
  generation: 1,
  fence: { term: 3, holder: 'node-1/a' },
  members: [],
};
const asFollower: ClusterView = {
  ...asLeader,
  role: { kind: 'follower', leader: 'node-2' },
  state: { kind: 'following', term: 3, leader: 'node-2' },
  leader: hint('node-2'),
};
const self = member('node-1', null);

test.each([
  ['leads and may write', asLeader, 'leader'],
  [
    'is elected but has not claimed the fence',
    { ...asLeader, state: { kind: 'waiting', term: 3 } },
    'waiting',
  ],
  ['is told by raft to lead before the claim began', { ...asLeader, state: asFollower.state }, 'waiting'],
  ['leads and does not reach the database', { ...asLeader, fence: null }, 'waiting'],
  ['gave leadership up', { ...asLeader, state: { kind: 'resigned', term: 3 } }, 'resigned'],
  ['asks for votes', { ...asFollower, role: { kind: 'candidate' } }, 'candidate'],
  ['follows', asFollower, 'follower'],
] as const)('a node that %s stands as such', (_what, view, standing) => {
  expect(standingOf(self, view, undefined)).toBe(standing);
});

test.each([
  ['the leader hears it', asLeader, member('node-2', 20), undefined, 'follower'],
  ['the leader hears it, and it has no vote', asLeader, member('node-2', 20, false), undefined, 'learner'],
  ['the leader has not heard it for 3 s', asLeader, member('node-2', 3_000), undefined, 'silent'],
  ['the leader never heard it', asLeader, member('node-2', null), undefined, 'silent'],
  ['a follower hears its leader', asFollower, member('node-2', 20), undefined, 'leader'],
  ['a follower lost its leader', asFollower, member('node-2', 3_000), undefined, 'silent'],
  ['a follower cannot hear another', asFollower, member('node-3', null), undefined, 'unheard'],
  [
    'a follower cannot hear another, and its process is paused',
    asFollower,
    member('node-3', null),
    'paused',
    'down',
  ],
] as const)('another member: %s', (_what, view, other, service, standing) => {
  expect(standingOf(other, view, service)).toBe(standing);
});

test('who leads is one sentence, also when nobody does or the database is away', () => {
  expect(leadershipText(asFollower)).toBe('node-2 leads in term 3.');
  expect(leadershipText({ ...asFollower, leader: null })).toBe('Nobody leads. The last term seen is 3.');
  expect(leadershipText({ ...asLeader, state: { kind: 'waiting', term: 3 } })).toBe(
    'node-1 was elected in term 3 and waits for the database.',
  );
});

const change = (id: number): ItemChange => ({
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
  price: 1,
  previousPrice: 2,
  currency: null,
  inStock: true,
  term: 1,
});
test('changes: newest first, none twice when the stream starts anew, never more than are kept', () => {
  const first = addChanges([], [change(1), change(2)]);
  const again = addChanges(first, [change(1), change(2), change(3)]);
  expect(again.map(({ id }) => id)).toEqual([3, 2, 1]);
  const flood = addChanges(
    again,
    Array.from({ length: 1_000 }, (_, index) => change(4 + index)),
  );
  expect([flood.length, flood[0]?.id]).toEqual([changesKept, 1_003]);
  expect(addChanges(flood, [change(5)])).toBe(flood);
});

test('events: the latest first, whoever said it when, none twice, never more than are kept', () => {
  const claimed = (second: number): BatonEvent => ({
    version: 1,
    at: `2026-01-01T00:00:${String(second % 60).padStart(2, '0')}.000Z`,
    process: 'node-1',
    type: 'fence.claimed',
    node: 'node-1',
    term: second,
    tookMs: 1,
  });
  const log = addToLog(addToLog([], [claimed(5), claimed(9)]), [claimed(9), claimed(7)]);
  expect(log.map(({ text }) => text)).toEqual([
    'node-1 claimed term 9 in 1 ms',
    'node-1 claimed term 7 in 1 ms',
    'node-1 claimed term 5 in 1 ms',
  ]);
  const flood = addToLog(
    log,
    Array.from({ length: 500 }, (_, index) => claimed(index + 100)),
  );
  expect(flood).toHaveLength(logKept);
});

const at = (minute: number) => `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z`;
test('events: a page that fails every minute is one entry with a count, which a stream that starts anew does not raise', () => {
  const failed = (minute: number, url = 'http://shop/broken'): BatonEvent => ({
    version: 1,
    at: at(minute),
    process: 'scraper',
    type: 'page.failed',
    source: 'shop',
    url,
    reason: 'HTTP 500',
  });
  const log = addToLog(addToLog([], [failed(1), failed(2), failed(2, 'http://shop/other')]), [
    failed(1),
    failed(2),
    failed(3),
  ]);
  expect(log.map(({ text, times, at: last }) => [text, times, last])).toEqual([
    ['shop: http://shop/broken: HTTP 500', 3, at(3)],
    ['shop: http://shop/other: HTTP 500', 1, at(2)],
  ]);
  expect(addToLog(log, [failed(3)])).toBe(log);
});

test.each([
  ['partition', 'node-1,node-2', 'partition node-1,node-2', 'bad', 'partition node-1,node-2'],
  ['heal', 'node-1,node-2', 'partition node-1,node-2', 'good', 'heal partition node-1,node-2'],
  ['kill', 'broker', 'pid 4711', 'bad', 'kill broker: pid 4711'],
  ['resume', 'broker', 'pid 4711', 'good', 'resume broker: pid 4711'],
  ['pause', 'broker', null, 'bad', 'pause broker'],
])('events: %s %s (%s) is %s, and says nothing twice', (action, target, detail, tone, text) => {
  const event = { type: 'fault.injected', action, target, detail } as const;
  const log = addToLog([], [{ version: 1, at: at(0), process: 'emulator', ...event }]);
  expect(log.map((entry) => [entry.tone, entry.text])).toEqual([[tone, text]]);
});
