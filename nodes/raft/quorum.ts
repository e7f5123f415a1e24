// Counting: how many make a majority, and since when a leader has had one. Never decides what follows from it.
import type { Config, NodeId, Time } from './types.ts';

export const majorityOf = (voters: number): number => Math.floor(voters / 2) + 1;

/** When the newest heartbeat that it acknowledged was sent. */
type Acknowledged = { readonly ackedAt: Time };

/**
 * The latest moment at which a majority of the voters, the leader included, was known to hear this leader.
 * It counts from when the acknowledged heartbeats were SENT (dissertation 6.2, 6.4.1): counted from the arrival of the
 * answers, a slow network would let an old leader outlive the patience of its voters.
 */
export function quorumHeardAt(config: Config, peers: ReadonlyMap<NodeId, Acknowledged>, now: Time): Time {
  const heard: Time[] = [];
  for (const id of config.voters) heard.push(id === config.id ? now : (peers.get(id)?.ackedAt ?? -Infinity));
  heard.sort((a, b) => b - a);
  return heard[majorityOf(config.voters.length) - 1] ?? -Infinity;
}
