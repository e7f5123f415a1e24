// What a fail-over benchmark needs of a cluster, whoever made it: ours and etcd are broken in the same way, and their
// elections are read from what their processes say, by one clock.
import type { Elected, Elections } from '../../test/support/elections.ts';

export interface ElectingCluster {
  readonly elections: Elections;
  readonly ids: readonly string[];
  /** Every node that runs follows one leader. @throws Error when that takes too long. */
  settled(): Promise<Elected>;
  signal(id: string, signal: NodeJS.Signals): void;
  /** With what is on its disk. */
  restart(id: string): Promise<void>;
  /** @returns when the request was sent, by performance.now(). */
  transfer(from: string, to: string): Promise<number>;
  pid(id: string): number;
  close(): Promise<void>;
}

export interface ClusterOptions {
  readonly nodes: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
}
