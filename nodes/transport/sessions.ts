// Whom this node talks to: which boot of each peer is accepted, what of it was seen, which keys it knows.
// Decides what one datagram means and what is to be answered. Never touches a socket or a clock: bytes, source
// and time come in, chance comes in as `nonce`.
//
// A boot is accepted when it echoes this node's nonce, so a recording cannot bring back a boot that is gone,
// nor anything an accepted boot sealed before that answer. The nonce changes with each acceptance.
import type { KeyObject } from 'node:crypto';
import type { Message } from '../raft/types.ts';
import type { ClusterKeys } from '../../contracts/secrets.ts';
import { decodeMessage, encodeMessage } from './message.ts';
import { OpenBudget } from './open-budget.ts';
import {
  clusterFingerprint,
  deriveKey,
  membersFingerprint,
  nodeFingerprint,
  open,
  readHeader,
  seal,
  type Header,
  type HeaderProblem,
  type PacketType,
} from './packet.ts';
import { ReplayWindow } from './replay-window.ts';

export type Refusal =
  | HeaderProblem
  | 'foreign-cluster'
  | 'unknown-sender'
  | 'reflected'
  | 'not-for-me'
  | 'other-generation'
  | 'other-members'
  | 'unknown-key'
  | 'old-boot'
  | 'replayed'
  | 'over-budget'
  | 'forged'
  | 'not-a-message';

/** `keyId`: sealed with this one, which its sender knows. */
export interface Challenge {
  readonly nonce: Buffer;
  readonly keyId: number;
}

export type Received =
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly from?: string }
  /** Authentic, but of a boot not accepted yet: nothing but the challenge follows from it. */
  | { readonly kind: 'unproven'; readonly from: string }
  | {
      readonly kind: 'accepted-boot';
      readonly from: string;
      readonly fromBoot: string;
      readonly replaced: string | undefined;
    }
  /** Asked for proof itself; `unproven` when its sender has to prove itself too. */
  | ({ readonly kind: 'challenge'; readonly from: string; readonly unproven: boolean } & Challenge)
  | { readonly kind: 'message'; readonly from: string; readonly fromBoot: string; readonly message: Message }
  /** Over TCP: a follower wants to hear who answers here, and the answer to that. */
  | { readonly kind: 'greet'; readonly from: string; readonly nonce: Buffer }
  | { readonly kind: 'greeting'; readonly from: string; readonly fromBoot: string; readonly nonce: Buffer };

export interface SessionsOptions {
  readonly clusterId: string;
  readonly generation: number;
  readonly members: readonly { readonly id: string; readonly voter: boolean }[];
  readonly self: { readonly id: string; readonly boot: string };
  readonly keys: ClusterKeys;
  /** 16 bytes nobody can guess. */
  readonly nonce: () => Buffer;
}

interface Accepted {
  readonly boot: string;
  readonly window: ReplayWindow;
  lastArrivalAt: number;
}
interface Peer {
  readonly id: string;
  readonly fingerprint: string;
  nonce: Buffer;
  accepted: Accepted | undefined;
  /** Boots that were replaced, newest last. */
  readonly retired: string[];
  /** Ids of keys its present boot sealed with or offered. */
  knownKeys: Set<number>;
  /** The key of the last authentic datagram of a boot that has not proved itself: its process may know another set of keys. */
  unprovenKey: number | undefined;
  readonly derived: Map<string, KeyObject>;
}

/** The source of what came from the very address that this peer is configured with. */
export const peerSource = (id: string): string => `peer ${id}`;

const retiredMax = 16;
const derivedMax = 4; // Two keys of the accepted boot and of the one that follows it.

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #cluster: string;
  readonly #members: string;
  readonly #fingerprint: string;
  readonly #peers: ReadonlyMap<string, Peer>;
  readonly #peersByFingerprint: ReadonlyMap<string, Peer>;
  #keys: ClusterKeys;
  #clusterKeys: ReadonlyMap<number, Buffer>;
  #ownKeys: ReadonlyMap<number, KeyObject>;
  readonly #budget: OpenBudget;
  #counter = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
    const { clusterId, self, keys } = options;
    this.#cluster = clusterFingerprint(clusterId);
    this.#members = membersFingerprint(options.members);
    this.#fingerprint = nodeFingerprint(self.id);
    const peers = options.members
      .filter(({ id }) => id !== self.id)
      .map(({ id }): Peer => ({
        id,
        fingerprint: nodeFingerprint(id),
        nonce: options.nonce(),
        accepted: undefined,
        retired: [],
        knownKeys: new Set(),
        unprovenKey: undefined,
        derived: new Map(),
      }));
    this.#budget = new OpenBudget(peers.map(({ id }) => peerSource(id)));
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]));
    this.#peersByFingerprint = new Map(peers.map((peer) => [peer.fingerprint, peer]));
    this.#keys = keys;
    [this.#clusterKeys, this.#ownKeys] = this.#derive(keys);
  }

  /**
   * Takes up rolled keys. A peer that does not know the new current one is spoken to with the previous one, and the
   * counter rises over keys, so no nonce comes twice.
   */
  useKeys(keys: ClusterKeys): void {
    this.#keys = keys;
    [this.#clusterKeys, this.#ownKeys] = this.#derive(keys);
    // What was derived from a key that is gone must open nothing any more.
    for (const peer of this.#peers.values()) {
      peer.derived.clear();
      peer.unprovenKey = undefined;
    }
  }

  #derive({ current, previous }: ClusterKeys): [ReadonlyMap<number, Buffer>, ReadonlyMap<number, KeyObject>] {
    const { clusterId, self } = this.#options;
    const clusterKeys = new Map(
      [current, ...(previous ? [previous] : [])].map(({ id, key }) => [id, Buffer.from(key, 'base64')]),
    );
    const ownKeys = new Map(
      [...clusterKeys].map(([id, clusterKey]) => [
        id,
        deriveKey({ clusterKey, clusterId, sender: self.id, boot: self.boot }),
      ]),
    );
    return [clusterKeys, ownKeys];
  }

  sealMessage(to: string, message: Message): Buffer {
    return this.#seal({ to, type: 'message', body: encodeMessage(message), keyId: this.#keyFor(to) });
  }

  /** One per key, where a peer that was never heard, or its new boot, may know only one of them. */
  sealChallenges(to: string): Buffer[] {
    const peer = this.#peer(to);
    const keyIds = new Set(peer.knownKeys.size > 0 ? [this.#keyFor(to)] : this.#ownKeys.keys());
    if (peer.unprovenKey !== undefined) keyIds.add(peer.unprovenKey);
    return [...keyIds].map((keyId) => this.#seal({ to, type: 'challenge', body: peer.nonce, keyId }));
  }

  sealAnswer(to: string, { nonce, keyId }: Challenge): Buffer {
    return this.#seal({ to, type: 'challenge-answer', body: nonce, keyId });
  }

  sealGreet(to: string, nonce: Buffer): Buffer {
    return this.#seal({ to, type: 'greet', body: nonce, keyId: this.#keyFor(to) });
  }

  sealGreeting(to: string, nonce: Buffer): Buffer {
    return this.#seal({ to, type: 'greeting', body: nonce, keyId: this.#keyFor(to) });
  }

  /** `at`: when something sealed by that boot last arrived. */
  accepted(peer: string): { boot: string; at: number } | undefined {
    const accepted = this.#peer(peer).accepted;
    return accepted && { boot: accepted.boot, at: accepted.lastArrivalAt };
  }

  /** `source` names where the bytes came from: `peerSource`, or address and port; `now` is monotonic, ms. */
  receive(packet: Buffer, { source, now }: { source: string; now: number }): Received {
    const header = readHeader(packet);
    if (typeof header === 'string') return { kind: 'refused', refusal: header };
    const peer = this.#peersByFingerprint.get(header.sender);
    const problem = this.#judgeHeader(header, peer);
    if (problem || !peer)
      return { kind: 'refused', refusal: problem ?? 'unknown-sender', ...(peer && { from: peer.id }) };

    const refused = (refusal: Refusal): Received => ({ kind: 'refused', refusal, from: peer.id });
    if (!this.#budget.allows(source, now)) return refused('over-budget');
    const body = open({ packet, counter: header.counter, key: this.#keyOf(peer, header) });
    if (!body) {
      this.#budget.wasted(source, now);
      return refused('forged');
    }
    return peer.accepted?.boot === header.boot
      ? this.#receiveAccepted({ peer, accepted: peer.accepted, header, body, source, now })
      : this.#receiveUnproven({ peer, header, body, source, now });
  }

  /** Everything that can be said without decrypting. Undefined: go on. */
  #judgeHeader(header: Header, peer: Peer | undefined): Refusal | undefined {
    if (header.cluster !== this.#cluster) return 'foreign-cluster';
    if (header.sender === this.#fingerprint) return 'reflected';
    if (!peer) return 'unknown-sender';
    if (header.recipient !== this.#fingerprint) return 'not-for-me';
    const generationsApart = Math.abs(header.generation - this.#options.generation);
    if (generationsApart > 1) return 'other-generation';
    if (generationsApart === 0 && header.members !== this.#members) return 'other-members';
    if (!this.#clusterKeys.has(header.keyId)) return 'unknown-key';
    if (peer.retired.includes(header.boot)) return 'old-boot';
    if (peer.accepted?.boot === header.boot && !peer.accepted.window.isFresh(header.counter))
      return 'replayed';
    return undefined;
  }

  #receiveAccepted(arrival: {
    peer: Peer;
    accepted: Accepted;
    header: Header;
    body: Buffer;
    source: string;
    now: number;
  }): Received {
    const { peer, accepted, header, body, source, now } = arrival;
    accepted.window.accept(header.counter);
    accepted.lastArrivalAt = now;
    peer.knownKeys.add(header.keyId).add(header.offeredKeyId);
    this.#budget.heard(source, now);
    const from = peer.id;
    const fromBoot = header.boot;
    if (header.type === 'challenge')
      return { kind: 'challenge', from, nonce: body, keyId: header.keyId, unproven: false };
    if (header.type === 'greet') return { kind: 'greet', from, nonce: body };
    if (header.type === 'greeting') return { kind: 'greeting', from, fromBoot, nonce: body };
    // A late second answer to the challenge that this boot already met.
    if (header.type === 'challenge-answer') return { kind: 'refused', refusal: 'replayed', from };
    const message = decodeMessage(body);
    return message
      ? { kind: 'message', from, fromBoot, message }
      : { kind: 'refused', refusal: 'not-a-message', from };
  }

  #receiveUnproven({
    peer,
    header,
    body,
    source,
    now,
  }: {
    peer: Peer;
    header: Header;
    body: Buffer;
    source: string;
    now: number;
  }): Received {
    const from = peer.id;
    if (header.type === 'challenge-answer' && body.equals(peer.nonce)) {
      const replaced = peer.accepted?.boot;
      if (replaced) {
        peer.retired.push(replaced);
        if (peer.retired.length > retiredMax) peer.retired.shift();
      }
      peer.accepted = {
        boot: header.boot,
        window: new ReplayWindow(header.counter),
        lastArrivalAt: now,
      };
      peer.nonce = this.#options.nonce();
      peer.knownKeys = new Set([header.keyId, header.offeredKeyId]);
      peer.unprovenKey = undefined;
      return { kind: 'accepted-boot', from, fromBoot: header.boot, replaced };
    }
    this.#budget.wasted(source, now);
    // Before any acceptance an authentic datagram is all there is to learn a peer's key from.
    if (!peer.accepted) peer.knownKeys.add(header.keyId).add(header.offeredKeyId);
    peer.unprovenKey = header.keyId;
    return header.type === 'challenge'
      ? { kind: 'challenge', from, nonce: body, keyId: header.keyId, unproven: true }
      : { kind: 'unproven', from };
  }

  #seal(packet: { to: string; type: PacketType; body: Buffer; keyId: number }): Buffer {
    const { to, type, body, keyId } = packet;
    const key = this.#ownKeys.get(keyId);
    if (!key) throw new Error(`no cluster key with id ${keyId}`);
    this.#counter += 1;
    return seal({
      header: {
        type,
        keyId,
        offeredKeyId: this.#keys.current.id,
        cluster: this.#cluster,
        generation: this.#options.generation,
        members: this.#members,
        sender: this.#fingerprint,
        recipient: this.#peer(to).fingerprint,
        boot: this.#options.self.boot,
        counter: this.#counter,
      },
      body,
      key,
    });
  }

  /** The current key, unless this peer has shown that it knows only the other one. */
  #keyFor(to: string): number {
    const { current, previous } = this.#keys;
    const known = this.#peer(to).knownKeys;
    if (known.size === 0 || known.has(current.id) || !previous) return current.id;
    return known.has(previous.id) ? previous.id : current.id;
  }

  #keyOf(peer: Peer, header: Header): KeyObject {
    const name = `${header.keyId} ${header.boot}`;
    const derived = peer.derived.get(name);
    if (derived) return derived;
    const clusterKey = this.#clusterKeys.get(header.keyId);
    if (!clusterKey) throw new Error(`no cluster key with id ${header.keyId}`);
    const { clusterId } = this.#options;
    const key = deriveKey({ clusterKey, clusterId, sender: peer.id, boot: header.boot });
    peer.derived.set(name, key);
    if (peer.derived.size > derivedMax) {
      const accepted = peer.accepted?.boot;
      const oldest = [...peer.derived.keys()].find((other) => !accepted || !other.endsWith(accepted));
      if (oldest) peer.derived.delete(oldest);
    }
    return key;
  }

  #peer(id: string): Peer {
    const peer = this.#peers.get(id);
    if (!peer) throw new Error(`${id} is not a peer of ${this.#options.self.id}`);
    return peer;
  }
}
