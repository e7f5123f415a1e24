// Members of a small cluster as the transport's tests need them: their sessions, and a way to introduce them.
import { randomBytes } from 'node:crypto';
import type { ClusterKeys } from '../../../contracts/secrets.ts';
import { Sessions, type Received } from '../../../nodes/transport/sessions.ts';

const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
export const keyOld = { id: 1, key: Buffer.alloc(32, 1).toString('base64') };
export const keyNew = { id: 2, key: Buffer.alloc(32, 2).toString('base64') };
export const newBoot = () => randomBytes(16).toString('hex');

export function sessionsOf(
  id: string,
  over: {
    boot?: string;
    clusterId?: string;
    keys?: ClusterKeys;
    generation?: number;
    members?: readonly string[];
  } = {},
): Sessions {
  return new Sessions({
    clusterId: over.clusterId ?? clusterId,
    generation: over.generation ?? 1,
    members: (over.members ?? ['node-1', 'node-2', 'node-3']).map((id) => ({ id, voter: true })),
    self: { id, boot: over.boot ?? newBoot() },
    keys: over.keys ?? { current: keyOld },
    nonce: () => randomBytes(16),
  });
}

export function receive(at: Sessions, packet: Buffer | undefined, now = 0): Received {
  if (!packet) throw new Error('nothing was sealed');
  return at.receive(packet, { source: '127.0.0.1:9', now });
}

/** `asks` challenges `answers` and accepts its boot. Returns the answer's packet, as an eavesdropper has it. */
export function prove(asks: Sessions, askId: string, answers: Sessions, answerId: string, now = 0): Buffer {
  for (const packet of asks.sealChallenges(answerId)) {
    const challenge = receive(answers, packet, now);
    if (challenge.kind !== 'challenge') continue;
    const answer = answers.sealAnswer(askId, challenge);
    const accepted = receive(asks, answer, now);
    if (accepted.kind === 'accepted-boot') return answer;
  }
  throw new Error(`${answerId} did not prove itself to ${askId}`);
}

export function introduced(): { one: Sessions; two: Sessions } {
  const one = sessionsOf('node-1');
  const two = sessionsOf('node-2');
  prove(one, 'node-1', two, 'node-2');
  prove(two, 'node-2', one, 'node-1');
  return { one, two };
}
