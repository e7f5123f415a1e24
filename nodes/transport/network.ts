// Everything between the election core and the wires: sessions, UDP sockets and evidence of death as one
// thing that sends messages, hands in messages, and says which boot died. Decides nothing about elections.
import { randomBytes } from 'node:crypto';
import { splitAddress } from '../../contracts/environment.ts';
import type { Message } from '../raft/types.ts';
import type { ClusterKeys } from '../../contracts/secrets.ts';
import { openEvidence } from './evidence.ts';
import { Introductions } from './introductions.ts';
import { RefusalReports } from './refusal-reports.ts';
import { peerSource, Sessions, type Received } from './sessions.ts';
import { openUdp, type Udp, type UdpPeer } from './udp.ts';

export interface NetworkOptions {
  readonly clusterId: string;
  readonly generation: number;
  readonly members: readonly { readonly id: string; readonly voter: boolean; readonly udp: string }[];
  readonly self: { readonly id: string; readonly boot: string };
  readonly keys: ClusterKeys;
  readonly bind: string;
  readonly port: number;
  readonly heartbeatMs: number;
  /** Monotonic, ms. */
  readonly now: () => number;
  readonly onMessage: (arrival: { from: string; fromBoot: string; message: Message }) => void;
  readonly onDeath: (dead: { peer: string; boot: string; why: string }) => void;
  /** What a person has to put right; rate-limited. */
  readonly onProblem: (problem: { code: string; detail: string }) => void;
}

export interface Network {
  send(to: string, message: Message): void;
  /** The boot whose death matters at the moment. */
  watch(leader: { readonly peer: string; readonly boot: string } | undefined): void;
  /** Milliseconds since something sealed by the peer's accepted boot arrived; null: never. */
  lastContactMs(peer: string): number | null;
  readonly counters: Record<string, number>;
  /** Takes up rolled cluster keys without a pause. */
  useKeys(keys: ClusterKeys): void;
  close(): Promise<void>;
}

const nonceLength = 16;
/** The second of two refusals must follow the first within this time. */
const refusalPairMs = 1_000;

/** @throws Error when the UDP or TCP port cannot be bound; names the port. */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  const { now, self, onMessage, onDeath } = options;
  const counters: Record<string, number> = {};
  const count = (what: string): void => {
    counters[what] = (counters[what] ?? 0) + 1;
  };
  const nonce = () => randomBytes(nonceLength);
  const sessions = new Sessions({ ...options, nonce });
  const peers = options.members.filter(({ id }) => id !== self.id).map(peerOf);
  const refusedOnce = new Map<string, { boot: string; at: number }>();
  const refusals = new RefusalReports(options);
  /** Peers speak as soon as a port is open, and before all are: what would be answered then is asked again. */
  let opened: Udp | undefined;
  const introductions = new Introductions({
    peers: peers.map(({ id }) => id),
    sessions,
    now,
    heartbeatMs: options.heartbeatMs,
    send: (to, packet) => opened?.send(to, packet),
  });

  function onDatagram(packet: Buffer, { source, peer }: { source: string; peer?: string }): void {
    count('received');
    const budgeted = peer === undefined ? source : peerSource(peer);
    carryOut(sessions.receive(packet, { source: budgeted, now: now() }), { source, peer });
  }

  function carryOut(
    received: Received,
    { source, peer }: { source: string; peer: string | undefined },
  ): void {
    switch (received.kind) {
      case 'refused':
        count(`refused.${received.refusal}`);
        return refusals.report(received.refusal, {
          from: received.from,
          source,
          atPeer: peer !== undefined && peer === received.from,
        });
      case 'unproven':
        count('refused.unproven-boot');
        return introductions.unproven(received.from);
      case 'challenge':
        introductions.answer(received.from, received);
        if (received.unproven) introductions.unproven(received.from);
        return undefined;
      case 'accepted-boot':
        count('boots-accepted');
        introductions.proven(received.from);
        // One process per identity: the boot before this one is gone.
        if (received.replaced)
          onDeath({ peer: received.from, boot: received.replaced, why: 'it came back with another boot' });
        return undefined;
      case 'message':
        return onMessage(received);
      case 'greet':
      case 'greeting':
        return count('refused.not-for-udp');
    }
  }

  /**
   * Which datagram was refused is unknown, and it may be older than the last sign of life. So the first
   * refusal only sends a probe; a second one without a sign of life in between is evidence.
   */
  function onRefused(peer: string): void {
    const accepted = sessions.accepted(peer);
    if (!accepted) return;
    const first = refusedOnce.get(peer);
    const sameSilence = first && first.boot === accepted.boot && first.at > accepted.at;
    if (sameSilence && now() - first.at < refusalPairMs) {
      refusedOnce.delete(peer);
      onDeath({ peer, boot: accepted.boot, why: 'its port refused two datagrams' });
      return;
    }
    refusedOnce.set(peer, { boot: accepted.boot, at: now() });
    for (const packet of sessions.sealChallenges(peer)) opened?.send(peer, packet);
  }

  const where = `${options.bind}:${options.port}`;
  // TCP first: its port has one owner, while UDP sockets that share a port would take each other's datagrams.
  const evidence = await openEvidence({
    ...options,
    peers: new Map(peers.map((peer) => [peer.id, peer])),
    sessions,
    nonce,
    count,
    onUnproven: (peer) => introductions.unproven(peer),
  }).catch((error: unknown) => {
    throw new Error(`listening on TCP ${where} for evidence`, { cause: error });
  });
  const udp = await openUdp({ ...options, peers, onDatagram, onRefused, count }).catch(
    async (error: unknown) => {
      await evidence.close();
      throw new Error(`binding UDP ${where} for votes`, { cause: error });
    },
  );
  opened = udp;

  introductions.begin();

  return {
    send: (to, message) => {
      // Before its boot is proven a peer would only be asked for the same proof; still, it may accept ours.
      udp.send(to, sessions.sealMessage(to, message));
    },
    watch: (leader) => evidence.watch(leader),
    lastContactMs: (peer) => {
      const accepted = sessions.accepted(peer);
      return accepted ? Math.max(0, now() - accepted.at) : null;
    },
    counters,
    useKeys: (keys) => sessions.useKeys(keys),
    close: async () => {
      introductions.end();
      await Promise.all([udp.close(), evidence.close()]);
    },
  };
}

function peerOf({ id, udp }: { id: string; udp: string }): UdpPeer {
  return { id, ...splitAddress(udp) };
}
