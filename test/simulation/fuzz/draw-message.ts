// Messages of the election core with any values that their schema lets through: what a peer that holds the key, and has
// gone mad, could send. Terms stay near the receiver's most of the time, where they mean something.
import { rules, type Message } from '../../../nodes/raft/types.ts';
import type { Chance } from '../chance.ts';

const kinds = [
  'pre-vote-request',
  'pre-vote-answer',
  'vote-request',
  'vote-answer',
  'heartbeat',
  'heartbeat-answer',
  'transfer-now',
  'term-request',
  'term-answer',
] as const satisfies readonly Message['kind'][];

export interface Near {
  readonly term: number;
  readonly now: number;
  readonly boot: string;
  readonly members: readonly string[];
}

export function drawMessage(chance: Chance, { term, now, boot, members }: Near): Message {
  const count = (): number => (chance.happens(0.02) ? Number.MAX_SAFE_INTEGER : chance.below(8));
  const base = {
    term: chance.happens(0.001) ? Number.MAX_SAFE_INTEGER : Math.max(0, term + chance.below(5) - 2),
    generation: chance.happens(0.1) ? count() : 1,
  };
  const sentAt = chance.happens(0.9) ? now - chance.between(0, 300) : chance.between(-1e12, 1e12);
  const rule = chance.pick(rules);
  const granted = chance.happens(0.5);
  const candidateBoot = chance.happens(0.8) ? boot : '0'.repeat(32);
  const kind = chance.pick(kinds);
  switch (kind) {
    case 'pre-vote-request':
      return { kind, ...base, round: count() };
    case 'pre-vote-answer':
      return { kind, ...base, round: count(), candidateBoot, granted, rule };
    case 'vote-request':
      return { kind, ...base, transfer: chance.happens(0.3) };
    case 'vote-answer':
      return { kind, ...base, candidateBoot, granted, rule };
    case 'heartbeat':
      return { kind, ...base, sequence: count(), sentAt, order: drawOrder(chance, members), probe: count() };
    case 'heartbeat-answer': {
      const reason = chance.happens(0.5) ? null : 'x'.repeat(chance.below(200));
      const lagMs = chance.happens(0.1) ? Number.MAX_VALUE : chance.between(0, 500);
      const health = { fit: chance.happens(0.8), reason, databaseReachable: chance.happens(0.5), lagMs };
      return { kind, ...base, sequence: count(), sentAt, health, priority: count(), probe: count() };
    }
    case 'transfer-now':
      return { kind, ...base };
    case 'term-request':
      return { kind, ...base, nonce: count() };
    case 'term-answer':
      return { kind, ...base, nonce: count(), askerBoot: candidateBoot };
  }
}

/** Not always the members, and not always once. */
const drawOrder = (chance: Chance, members: readonly string[]): string[] =>
  Array.from({ length: chance.below(17) }, () => (chance.happens(0.9) ? chance.pick(members) : 'node-99'));
