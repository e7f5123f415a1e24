// What a node believes of what arrives: only the living boot of a member, sealed for it, once.
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../../nodes/raft/types.ts';
import { peerSource } from '../../../nodes/transport/sessions.ts';
import { introduced, keyNew, keyOld, newBoot, prove, receive, sessionsOf } from './two-nodes.ts';

const heartbeat: Message = {
  kind: 'heartbeat',
  term: 3,
  generation: 1,
  sequence: 9,
  sentAt: 1234.5,
  order: ['node-2', 'node-3'],
  probe: 4,
};
const health = { fit: true, reason: null, databaseReachable: true, lagMs: 0.5 };
const boot = newBoot();
const messages: readonly Message[] = [
  heartbeat,
  { kind: 'pre-vote-request', term: 3, generation: 1, round: 1 },
  {
    kind: 'pre-vote-answer',
    term: 3,
    generation: 1,
    round: 1,
    candidateBoot: boot,
    granted: false,
    rule: 'leader-is-alive',
  },
  { kind: 'vote-request', term: 4, generation: 1, transfer: true },
  { kind: 'vote-answer', term: 4, generation: 1, candidateBoot: boot, granted: true, rule: 'granted' },
  {
    kind: 'heartbeat-answer',
    term: 4,
    generation: 1,
    sequence: 9,
    sentAt: 1234.5,
    health,
    priority: 50,
    probe: 4,
  },
  { kind: 'transfer-now', term: 4, generation: 1 },
  { kind: 'term-request', term: 0, generation: 1, nonce: 77 },
  { kind: 'term-answer', term: 4, generation: 1, nonce: 77, askerBoot: boot },
];

describe('transport: what is accepted', () => {
  test('every kind of message arrives as it was sent', () => {
    const { one, two } = introduced();
    for (const message of messages)
      expect(receive(two, one.sealMessage('node-2', message))).toMatchObject({ kind: 'message', message });
  });

  test('datagrams that overtake each other all arrive, each of them once', () => {
    const { one, two } = introduced();
    const packets = Array.from({ length: 200 }, () => one.sealMessage('node-2', heartbeat)).toReversed();
    expect(packets.map((packet) => receive(two, packet).kind)).toEqual(packets.map(() => 'message'));
    expect(packets.map((packet) => receive(two, packet))).toEqual(
      packets.map(() => ({ kind: 'refused', refusal: 'replayed', from: 'node-1' })),
    );
  });

  test('what is older than the replay window is refused even if it never arrived', () => {
    const { one, two } = introduced();
    const late = one.sealMessage('node-2', heartbeat);
    for (let count = 0; count < 1_023; count++) one.sealMessage('node-2', heartbeat);
    receive(two, one.sealMessage('node-2', heartbeat));
    expect(receive(two, late)).toMatchObject({ refusal: 'replayed' });
  });
});

describe('transport: what is refused', () => {
  test('one flipped bit anywhere in a datagram changes nothing', () => {
    const { one, two } = introduced();
    const packet = one.sealMessage('node-2', heartbeat);
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const flipped = Buffer.from(packet);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A second apart, so that the budget of failed opens is not what refuses.
      const received = receive(two, flipped, bit * 1_000);
      // A flipped boot that happens to be authentic does not exist: every bit is under the tag.
      expect(received.kind, `bit ${bit}`).toBe('refused');
    }
    expect(receive(two, packet, 1e9)).toMatchObject({ kind: 'message', message: heartbeat });
  });

  test('every truncation and every extension is refused', () => {
    const { one, two } = introduced();
    const packet = one.sealMessage('node-2', heartbeat);
    for (let length = 0; length < packet.length; length++)
      expect(receive(two, packet.subarray(0, length), length * 1_000).kind).toBe('refused');
    for (const extra of [1, 16, 1_000, 60_000])
      expect(receive(two, Buffer.concat([packet, Buffer.alloc(extra)]), 1e9).kind).toBe('refused');
    expect(receive(two, packet, 2e9).kind).toBe('message');
  });

  test('30,000 random mutations of real datagrams: none is a message, none throws, the next real one arrives', () => {
    const { one, two } = introduced();
    const seals = messages.map((message) => one.sealMessage('node-2', message));
    const seen = new Map<string, number>();
    let seed = 42;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let count = 0; count < 30_000; count++) {
      const original = seals[random(seals.length)] ?? Buffer.alloc(0);
      const mutated = random(10) === 0 ? randomBytes(random(1_400)) : Buffer.from(original);
      const flips = 1 + random(4);
      for (let flip = 0; flip < flips && mutated.length > 0; flip++) {
        const position = random(mutated.length);
        mutated[position] = (mutated[position] ?? 0) ^ (1 + random(255));
      }
      if (mutated.equals(original)) continue;
      const received = receive(two, mutated, count * 10);
      const reason = received.kind === 'refused' ? received.refusal : received.kind;
      seen.set(reason, (seen.get(reason) ?? 0) + 1);
    }
    expect(seen.has('message')).toBe(false);
    expect([...seen.keys()]).toEqual(
      expect.arrayContaining(['forged', 'not-baton', 'foreign-cluster', 'malformed', 'newer-version']),
    );
    expect(receive(two, one.sealMessage('node-2', heartbeat), 1e9).kind).toBe('message');
  });

  test.each([
    ['foreign-cluster', sessionsOf('node-1', { clusterId: '00000000-0000-4000-8000-000000000000' })],
    ['other-generation', sessionsOf('node-1', { generation: 3 })],
    ['other-members', sessionsOf('node-1', { members: ['node-1', 'node-2'] })],
    ['unknown-key', sessionsOf('node-1', { keys: { current: keyNew } })],
    ['forged', sessionsOf('node-1', { keys: { current: { id: keyOld.id, key: keyNew.key } } })],
    ['unknown-sender', sessionsOf('node-9', { members: ['node-9', 'node-2'], generation: 2 })],
  ])('%s: refused for that reason', (refusal, sender) => {
    const two = sessionsOf('node-2');
    expect(receive(two, sender.sealMessage('node-2', heartbeat))).toMatchObject({ kind: 'refused', refusal });
    for (const packet of sender.sealChallenges('node-2'))
      expect(receive(two, packet)).toMatchObject({ kind: 'refused', refusal });
  });

  test('a neighbouring generation may speak, so that membership can change node by node', () => {
    const one = sessionsOf('node-1', { generation: 2, members: ['node-1', 'node-2', 'node-3', 'node-4'] });
    const two = sessionsOf('node-2');
    prove(two, 'node-2', one, 'node-1');
    expect(receive(two, one.sealMessage('node-2', heartbeat)).kind).toBe('message');
  });

  test('a datagram sent back to its sender, or on to a third node, is refused', () => {
    const { one, two } = introduced();
    const three = sessionsOf('node-3');
    prove(three, 'node-3', one, 'node-1');
    const packet = one.sealMessage('node-2', heartbeat);
    expect(receive(one, packet)).toMatchObject({ refusal: 'reflected' });
    expect(receive(three, packet)).toMatchObject({ refusal: 'not-for-me' });
    expect(receive(two, packet).kind).toBe('message');
  });

  test('a newer major version is refused by that name, with the tag untouched', () => {
    const { one, two } = introduced();
    const packet = one.sealMessage('node-2', heartbeat);
    packet[1] = 2;
    expect(receive(two, packet)).toMatchObject({ refusal: 'newer-version' });
  });

  test('an authentic body that is no message of this release is refused and counted', () => {
    const { one, two } = introduced();
    const strange = { ...heartbeat, kind: 'handshake' } as unknown as Message;
    expect(receive(two, one.sealMessage('node-2', strange))).toMatchObject({ refusal: 'not-a-message' });
    const negative = { ...heartbeat, term: -1 };
    expect(receive(two, one.sealMessage('node-2', negative))).toMatchObject({ refusal: 'not-a-message' });
  });
});

describe('transport: boots', () => {
  test('a boot that has not answered this node is not heard, however authentic', () => {
    const one = sessionsOf('node-1');
    const two = sessionsOf('node-2');
    expect(receive(two, one.sealMessage('node-2', heartbeat))).toEqual({ kind: 'unproven', from: 'node-1' });
  });

  test('after a restart of the receiver, nothing recorded before is heard, not even the old handshake', () => {
    const one = sessionsOf('node-1');
    const before = sessionsOf('node-2');
    const answer = prove(before, 'node-2', one, 'node-1');
    const recorded = [answer, one.sealMessage('node-2', heartbeat)];
    const after = sessionsOf('node-2');
    for (const packet of recorded) expect(receive(after, packet).kind).toBe('unproven');
    prove(after, 'node-2', one, 'node-1');
    for (const packet of recorded) expect(receive(after, packet)).toMatchObject({ refusal: 'replayed' });
    expect(receive(after, one.sealMessage('node-2', heartbeat)).kind).toBe('message');
  });

  test('a new boot replaces the old one, and the old one never comes back', () => {
    const { one, two } = introduced();
    const recorded = one.sealMessage('node-2', heartbeat);
    const oldBoot = two.accepted('node-1')?.boot;
    const restarted = sessionsOf('node-1');
    const oldAnswer = prove(sessionsOf('node-2'), 'node-2', one, 'node-1');
    prove(two, 'node-2', restarted, 'node-1');
    expect(two.accepted('node-1')?.boot).not.toBe(oldBoot);
    expect(receive(two, recorded)).toMatchObject({ refusal: 'old-boot' });
    expect(receive(two, oldAnswer)).toMatchObject({ refusal: 'old-boot' });
    expect(receive(two, one.sealMessage('node-2', heartbeat))).toMatchObject({ refusal: 'old-boot' });
    expect(receive(two, restarted.sealMessage('node-2', heartbeat)).kind).toBe('message');
  });

  test('an answer counts once: held back and sent again after the next boot it changes nothing', () => {
    const two = sessionsOf('node-2');
    const first = sessionsOf('node-1');
    const [challenge] = two.sealChallenges('node-1');
    const asked = receive(first, challenge);
    if (asked.kind !== 'challenge') throw new Error(asked.kind);
    const heldBack = first.sealAnswer('node-2', asked);
    const second = sessionsOf('node-1');
    prove(two, 'node-2', second, 'node-1');
    expect(receive(two, heldBack)).toEqual({ kind: 'unproven', from: 'node-1' });
    expect(receive(two, second.sealMessage('node-2', heartbeat)).kind).toBe('message');
  });
});

describe('transport: keys', () => {
  test('a new key rolls through a cluster node by node, and everybody hears everybody at each step', () => {
    const old = { current: keyOld };
    const both = { current: keyNew, previous: keyOld };
    const only = { current: keyNew };
    for (const [ofOne, ofTwo] of [
      [both, old],
      [both, both],
      [only, both],
      [only, only],
    ] as const) {
      const one = sessionsOf('node-1', { keys: ofOne });
      const two = sessionsOf('node-2', { keys: ofTwo });
      prove(one, 'node-1', two, 'node-2');
      prove(two, 'node-2', one, 'node-1');
      expect(receive(two, one.sealMessage('node-2', heartbeat)).kind).toBe('message');
      expect(receive(one, two.sealMessage('node-1', heartbeat)).kind).toBe('message');
    }
  });

  test('a peer that was away in the first pass and comes back with the new key alone is introduced all the same', () => {
    const one = sessionsOf('node-1');
    const away = sessionsOf('node-2');
    prove(one, 'node-1', away, 'node-2');
    prove(away, 'node-2', one, 'node-1');
    one.useKeys({ current: keyNew, previous: keyOld });
    const back = sessionsOf('node-2', { keys: { current: keyNew } });
    prove(back, 'node-2', one, 'node-1');
    prove(one, 'node-1', back, 'node-2');
    expect(receive(back, one.sealMessage('node-2', heartbeat)).kind).toBe('message');
    expect(receive(one, back.sealMessage('node-1', heartbeat)).kind).toBe('message');
  });
});

describe('transport: budget', () => {
  test('garbage with a copied header stops costing decryptions, while the real sender is heard', () => {
    const { one, two } = introduced();
    const real = { source: '10.0.0.1:7000', now: 5 };
    expect(two.receive(one.sealMessage('node-2', heartbeat), real).kind).toBe('message');
    const garbage = one.sealMessage('node-2', heartbeat);
    garbage.fill(0, 68);
    const refusals = Array.from({ length: 2_000 }, (_, index) =>
      two.receive(garbage, { source: `10.6.6.6:${index}`, now: 6 }),
    ).map((received) => (received.kind === 'refused' ? received.refusal : received.kind));
    const forged = refusals.filter((refusal) => refusal === 'forged').length;
    expect(forged).toBeGreaterThan(0);
    expect(forged).toBeLessThanOrEqual(250);
    expect(refusals.filter((refusal) => refusal === 'over-budget')).toHaveLength(2_000 - forged);
    expect(two.receive(one.sealMessage('node-2', heartbeat), real).kind).toBe('message');
  });

  test('a recording of a boot that proved nothing is bounded likewise, and does not keep its peer from being introduced', () => {
    const recorded = sessionsOf('node-1').sealMessage('node-2', heartbeat);
    const two = sessionsOf('node-2');
    const replay = () => two.receive(recorded, { source: '10.6.6.6:1', now: 0 });
    const opened = Array.from({ length: 1_000 }, replay).filter(({ kind }) => kind === 'unproven').length;
    expect(opened).toBe(250);
    const one = sessionsOf('node-1');
    const [challenge] = two.sealChallenges('node-1');
    const asked = receive(one, challenge);
    if (asked.kind !== 'challenge') throw new Error(asked.kind);
    const answer = one.sealAnswer('node-2', asked);
    expect(two.receive(answer, { source: peerSource('node-1'), now: 0 }).kind).toBe('accepted-boot');
  });
});
