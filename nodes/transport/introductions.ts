// Gets every peer's boot proven: asks for the proof until there is one, again when a packet of another boot comes, and answers
// the peers that ask. How often is bounded in both ways, however many datagrams ask for it.
import type { Challenge, Sessions } from './sessions.ts';

const challengeEveryMs = 5;
const answerEveryMs = 1;
/** So long a boot that has not proven itself is asked again. */
const unprovenMs = 2_000;
/** At the start a peer is asked with each heartbeat, so many times. */
const quickRounds = 40;
const slowRoundMs = 500;

export interface IntroductionsOptions {
  readonly peers: readonly string[];
  readonly sessions: Pick<Sessions, 'accepted' | 'sealAnswer' | 'sealChallenges'>;
  /** Monotonic, ms. */
  readonly now: () => number;
  readonly heartbeatMs: number;
  readonly send: (to: string, packet: Buffer) => void;
}

export class Introductions {
  readonly #options: IntroductionsOptions;
  readonly #challengedAt = new Map<string, number>();
  readonly #answeredAt = new Map<string, number>();
  /** When an authentic packet of a boot that is not accepted last came. */
  readonly #unprovenAt = new Map<string, number>();
  #rounds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IntroductionsOptions) {
    this.#options = options;
  }

  begin(): void {
    for (const peer of this.#options.peers) {
      // Challenge or answer may get lost, and then nothing else might make this peer speak again.
      const isWaiting = this.#age(this.#unprovenAt, peer) < unprovenMs;
      if (!this.#options.sessions.accepted(peer) || isWaiting) this.#challenge(peer);
    }
    this.#rounds += 1;
    const pauseMs = this.#rounds < quickRounds ? this.#options.heartbeatMs : slowRoundMs;
    this.#timer = setTimeout(() => this.begin(), pauseMs);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** A packet of a boot came that has not proven itself. */
  unproven(peer: string): void {
    this.#unprovenAt.set(peer, this.#options.now());
    this.#challenge(peer);
  }

  proven(peer: string): void {
    this.#unprovenAt.delete(peer);
  }

  /** Proves this boot to a peer that asked. */
  answer(peer: string, challenge: Challenge): void {
    if (this.#age(this.#answeredAt, peer) < answerEveryMs) return;
    this.#answeredAt.set(peer, this.#options.now());
    this.#options.send(peer, this.#options.sessions.sealAnswer(peer, challenge));
  }

  #challenge(peer: string): void {
    if (this.#age(this.#challengedAt, peer) < challengeEveryMs) return;
    this.#challengedAt.set(peer, this.#options.now());
    for (const packet of this.#options.sessions.sealChallenges(peer)) this.#options.send(peer, packet);
  }

  #age(times: ReadonlyMap<string, number>, peer: string): number {
    return this.#options.now() - (times.get(peer) ?? -Infinity);
  }
}
