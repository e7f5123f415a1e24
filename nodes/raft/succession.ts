// Who leads next, and how long each waits before asking. Ranks keep candidates out of each other's way; chance takes
// over where ranks are not known. Never grants anything: a wrong order costs time and nothing else.
import type { Config, NodeId, Time } from './types.ts';
import type { PeerView } from './state.ts';

/** A datagram's round trip and a write to disk must fit between two ranks. */
export const rankSpacingMs = (config: Config): number => Math.max(12, 0.12 * config.electionTimeoutMs);

/** How often one who asks and is refused asks again. */
export const askAgainMs = (config: Config): number => Math.max(5, config.electionTimeoutMs / 30);

/** Differences of lag below this are noise, and noise must not reorder the ranks. */
const lagStepMs = 50;

const usable = ({ health }: PeerView): boolean => health !== null && health.fit && health.databaseReachable;
const lagOf = ({ health }: PeerView): number => Math.floor((health?.lagMs ?? 0) / lagStepMs);

/** Voters that may lead and answered within one timeout: fit with a database first, then priority, lag and name. */
export function successionOf(config: Config, peers: ReadonlyMap<NodeId, PeerView>, now: Time): NodeId[] {
  const heirs: { id: NodeId; peer: PeerView }[] = [];
  for (const id of config.voters) {
    const peer = peers.get(id);
    if (!peer || peer.health === null || peer.priority === 0) continue;
    if (now - peer.ackedAt < config.electionTimeoutMs) heirs.push({ id, peer });
  }
  heirs.sort(
    (a, b) =>
      Number(usable(b.peer)) - Number(usable(a.peer)) ||
      b.peer.priority - a.peer.priority ||
      lagOf(a.peer) - lagOf(b.peer) ||
      (a.id < b.id ? -1 : 1),
  );
  return heirs.map(({ id }) => id);
}
