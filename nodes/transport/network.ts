// Everything between the election core and the wires: sessions, UDP sockets and evidence of death as one
// thing that sends messages, hands in messages, and says which boot died. Decides nothing about elections.
import { randomBytes } from 'node:crypto';
import { splitAddress } from '../../contracts/environment.ts';
import type { Message } from '../raft/types.ts';
import type { ClusterKeys } from '../../contracts/secrets.ts';
import { openEvidence } from './evidence.ts';
import { peerSource, Sessions, type Received, type Refusal } from './sessions.ts';
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
  /** What a person has to put right, at most once per peer, cause and `problemEveryMs`. */
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
const problemEveryMs = 10_000;
const problemsMax = 100;
/** A peer is asked to prove its boot at most this often, however many datagrams ask for it. */
const challengeEveryMs = 5;
/** So long a boot that has not proven itself is asked again. */
const unprovenMs = 2_000;
const quickChallenges = 40;
const slowChallengeMs = 500;
/** The second of two refusals must follow the first within this time. */
const refusalPairMs = 1_000;

/** Refusals that mean a wrong configuration or release rather than noise. */
const problems: Partial<Record<Refusal, string>> = {
  'newer-version': 'speaks a newer protocol than this release knows: update this node',
  'older-version': 'speaks an older protocol than this release accepts: update that node',
  'foreign-cluster': 'belongs to another cluster: its database or its address is wrong',
  'other-generation': 'is more than one generation of the membership away: stop it or bring it up to date',
  'other-members': 'has another list of members under the same generation number',
  'unknown-key': 'seals with a cluster key that this node does not have',
  'not-a-message': 'sends messages that this release does not understand',
};

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
  const challengedAt = new Map<string, number>();
  /** When an authentic packet of a boot that is not accepted last came. */
  const unprovenAt = new Map<string, number>();
  const answeredAt = new Map<string, number>();
  const refusedOnce = new Map<string, { boot: string; at: number }>();
  const toldAt = new Map<string, number>();

  function challenge(peer: string): void {
    if (now() - (challengedAt.get(peer) ?? -Infinity) < challengeEveryMs) return;
    challengedAt.set(peer, now());
    for (const packet of sessions.sealChallenges(peer)) opened?.send(peer, packet);
  }

  function onUnproven(peer: string): void {
    unprovenAt.set(peer, now());
    challenge(peer);
  }

  function report(refusal: Refusal, { from, source }: { from: string | undefined; source: string }): void {
    const detail = problems[refusal];
    if (!detail) return;
    const who = from ?? source.replace(/:\d+$/, '');
    const key = `${refusal} ${who}`;
    if (now() - (toldAt.get(key) ?? -Infinity) < problemEveryMs) return;
    // Headers are not authenticated yet: forged ones must not fill the log either.
    if (toldAt.size >= problemsMax)
      for (const [told, at] of toldAt) if (now() - at >= problemEveryMs) toldAt.delete(told);
    if (toldAt.size >= problemsMax) return;
    toldAt.set(key, now());
    options.onProblem({
      code: `datagram.${refusal}`,
      detail: `${from ?? `a sender at ${source}`} ${detail}`,
    });
  }

  function onDatagram(packet: Buffer, { source, peer }: { source: string; peer?: string }): void {
    count('received');
    const budgeted = peer === undefined ? source : peerSource(peer);
    carryOut(sessions.receive(packet, { source: budgeted, now: now() }), source);
  }

  function carryOut(received: Received, source: string): void {
    switch (received.kind) {
      case 'refused':
        count(`refused.${received.refusal}`);
        return report(received.refusal, { from: received.from, source });
      case 'unproven':
        count('refused.unproven-boot');
        return onUnproven(received.from);
      case 'challenge':
        if (now() - (answeredAt.get(received.from) ?? -Infinity) >= 1) {
          answeredAt.set(received.from, now());
          opened?.send(received.from, sessions.sealAnswer(received.from, received.nonce));
        }
        if (received.unproven) onUnproven(received.from);
        return undefined;
      case 'accepted-boot':
        count('boots-accepted');
        unprovenAt.delete(received.from);
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
  /** Peers speak as soon as a port is open, and before all are: what would be answered then is asked again. */
  let opened: Udp | undefined;
  // TCP first: its port has one owner, while UDP sockets that share a port would take each other's datagrams.
  const evidence = await openEvidence({
    ...options,
    peers: new Map(peers.map((peer) => [peer.id, peer])),
    sessions,
    nonce,
    count,
    onUnproven,
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

  let rounds = 0;
  let timer: NodeJS.Timeout | undefined;
  function introduce(): void {
    for (const { id } of peers) {
      // Challenge or answer may get lost, and then nothing else might make this peer speak again.
      const isWaiting = now() - (unprovenAt.get(id) ?? -Infinity) < unprovenMs;
      if (!sessions.accepted(id) || isWaiting) challenge(id);
    }
    rounds += 1;
    timer = setTimeout(introduce, rounds < quickChallenges ? options.heartbeatMs : slowChallengeMs);
  }
  introduce();

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
      clearTimeout(timer);
      await Promise.all([udp.close(), evidence.close()]);
    },
  };
}

function peerOf({ id, udp }: { id: string; udp: string }): UdpPeer {
  return { id, ...splitAddress(udp) };
}
