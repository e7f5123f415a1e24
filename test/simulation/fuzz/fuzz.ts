// Datagrams of every kind against one node: real ones, changed ones, repeated ones, those of boots that are gone, authentic
// nonsense, noise. Only a real one that comes for the first time may be heard; whatever is heard, the core keeps its word.
import { isDeepStrictEqual } from 'node:util';
import type { Message } from '../../../nodes/raft/types.ts';
import { Chance } from '../chance.ts';
import { drawMessage } from './draw-message.ts';
import { peerSource, Sessions, type Received } from '../../../nodes/transport/sessions.ts';
import { Victim } from './victim.ts';

export interface FuzzTotals {
  readonly datagrams: number;
  /** How many of each kind were sent, and what came of all of them. */
  readonly sent: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
}

const members = ['node-1', 'node-2', 'node-3'];
const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
const keys = { current: { id: 1, key: Buffer.alloc(32, 1).toString('base64') } };
const rememberedMax = 256;
const goneMax = 24; // More than the node remembers, so that forgotten boots are tried, too.
const lengthMax = 1_400;
/** From one datagram to the next at most: some 200,000 come in a second, so that budgets run out. */
const passingMs = 0.01;
/** A term that far has nothing left to count up to. */
const termMax = 2 ** 50;

interface Peer {
  readonly id: string;
  sessions: Sessions;
  readonly gone: Sessions[];
}

export class Fuzz {
  readonly #chance: Chance;
  readonly #peers: Peer[];
  /** Accepted once already. */
  readonly #heard: Buffer[] = [];
  readonly #sent = new Map<string, number>();
  readonly #outcomes = new Map<string, number>();
  #victim: Victim;
  #now = 0;
  datagrams = 0;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#peers = ['node-1', 'node-3'].map((id) => ({ id, sessions: this.#boot(id).sessions, gone: [] }));
    this.#victim = this.#start({ term: 0, votedFor: null });
  }

  get totals(): FuzzTotals {
    const { datagrams } = this;
    return { datagrams, sent: Object.fromEntries(this.#sent), outcomes: Object.fromEntries(this.#outcomes) };
  }

  /** @throws Error when one is heard that must not be, one is not that must, or the core breaks its word. */
  run(datagrams: number): void {
    for (let count = 0; count < datagrams; count++) {
      this.#now += this.#chance.between(0, passingMs);
      this.#one(this.#chance.pick(this.#peers));
      this.datagrams += 1;
      if (this.#chance.happens(1e-4)) this.#restartPeer(this.#chance.pick(this.#peers));
      if (this.#victim.term > termMax) this.#victim = this.#start({ term: 0, votedFor: null });
      else if (this.#chance.happens(2e-5)) this.#victim = this.#start(this.#victim.disk);
    }
  }

  #one(peer: Peer): void {
    const dice = this.#chance.next();
    if (dice < 0.3) return this.#valid(peer);
    if (dice < 0.6) return this.#changed(peer);
    if (dice < 0.75) return this.#refused('again', peer, this.#anyHeard(peer));
    if (dice < 0.85) return this.#oldBoot(peer);
    if (dice < 0.9)
      return this.#refused('reflected', peer, this.#victim.sessions.sealMessage(peer.id, this.#draw()));
    if (dice < 0.95) return this.#nonsense(peer);
    return this.#refused('noise', peer, this.#bytes(this.#chance.below(lengthMax)));
  }

  /** The first time, and from a boot that has proved itself. */
  #valid(peer: Peer): void {
    const message = this.#draw();
    const packet = peer.sessions.sealMessage(this.#victim.id, message);
    const received = this.#deliver('valid', peer, packet);
    if (received.kind !== 'message' || !isDeepStrictEqual(received.message, message))
      throw new Error(`a valid datagram was not heard as sent: ${JSON.stringify({ received, message })}`);
    const full = this.#heard.length >= rememberedMax;
    this.#heard[full ? this.#chance.below(rememberedMax) : this.#heard.length] = packet;
  }

  /** One that was heard, or one that would have been. */
  #changed(peer: Peer): void {
    const fresh = this.#chance.happens(0.5);
    const original = fresh ? peer.sessions.sealMessage(this.#victim.id, this.#draw()) : this.#anyHeard(peer);
    return this.#refused('changed', peer, this.#change(original));
  }

  #oldBoot(peer: Peer): void {
    if (peer.gone.length === 0) return this.#valid(peer);
    const packet = this.#chance.pick(peer.gone).sealMessage(this.#victim.id, this.#draw());
    return this.#refused('old boot', peer, packet);
  }

  /** Sealed by who holds the key, and no message. */
  #nonsense(peer: Peer): void {
    const incomplete = { ...this.#draw(), term: undefined } as unknown as Message;
    const packet = peer.sessions.sealMessage(this.#victim.id, incomplete);
    return this.#refused('nonsense', peer, packet);
  }

  #refused(kind: string, peer: Peer, packet: Buffer): void {
    const received = this.#deliver(kind, peer, packet);
    if (received.kind !== 'refused' && received.kind !== 'unproven')
      throw new Error(`a datagram was heard (${kind}): ${JSON.stringify(received)}`);
  }

  #deliver(kind: string, peer: Peer, packet: Buffer): Received {
    // Valid ones have to be heard; all else may come from anywhere and run into the budget.
    const own = kind === 'valid' || this.#chance.happens(0.2);
    const source = own ? peerSource(peer.id) : `10.0.0.${this.#chance.below(256)}:9`;
    const received = this.#victim.receive(packet, { source, now: this.#now });
    const outcome = received.kind === 'refused' ? received.refusal : received.kind;
    this.#sent.set(kind, (this.#sent.get(kind) ?? 0) + 1);
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
    return received;
  }

  #anyHeard(peer: Peer): Buffer {
    if (this.#heard.length === 0) this.#valid(peer);
    return this.#chance.pick(this.#heard);
  }

  #draw(): Message {
    const { term, boot } = this.#victim;
    return drawMessage(this.#chance, { term, boot, now: this.#now, members });
  }

  /** Some bits, some bytes, cut short, made longer, or the head of one on the body of another. */
  #change(original: Buffer): Buffer {
    const chance = this.#chance;
    const way = chance.below(4);
    if (way === 0) return original.subarray(0, chance.below(original.length));
    if (way === 1) return Buffer.concat([original, this.#bytes(1 + chance.below(200))]);
    const changed = Buffer.from(original);
    if (way === 2) this.#bytes(1 + chance.below(40)).copy(changed, chance.below(changed.length));
    else {
      const bit = chance.below(8 * changed.length);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
    if (changed.equals(original)) changed[0] = (changed[0] ?? 0) ^ 1;
    return changed;
  }

  #bytes(length: number): Buffer {
    return Buffer.from(Uint8Array.from({ length }, () => this.#chance.below(256)));
  }

  #boot(id: string): { boot: string; sessions: Sessions } {
    const boot = this.#bytes(16).toString('hex');
    const sessions = new Sessions({
      clusterId,
      generation: 1,
      members: members.map((member) => ({ id: member, voter: true })),
      self: { id, boot },
      keys,
      nonce: () => this.#bytes(16),
    });
    return { boot, sessions };
  }

  #start(disk: Victim['disk']): Victim {
    const seed = this.#chance.below(2 ** 31);
    const victim = new Victim({ ...this.#boot('node-2'), members, disk, now: this.#now, seed });
    this.#heard.length = 0;
    for (const peer of this.#peers) this.#introduce(victim, peer);
    return victim;
  }

  #restartPeer(peer: Peer): void {
    peer.gone.push(peer.sessions);
    if (peer.gone.length > goneMax) peer.gone.shift();
    peer.sessions = this.#boot(peer.id).sessions;
    this.#introduce(this.#victim, peer);
  }

  #introduce({ id, sessions }: Victim, peer: Peer): void {
    const [challenge] = sessions.sealChallenges(peer.id);
    const at = { source: peerSource(peer.id), now: this.#now };
    const asked = challenge && peer.sessions.receive(challenge, at);
    if (asked?.kind !== 'challenge') throw new Error(`${peer.id} did not understand a challenge`);
    const accepted = sessions.receive(peer.sessions.sealAnswer(id, asked), at);
    if (accepted.kind !== 'accepted-boot')
      throw new Error(`${peer.id} proved itself in vain: ${accepted.kind}`);
  }
}
