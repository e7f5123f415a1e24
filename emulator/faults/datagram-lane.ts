// What becomes of each datagram that goes one way over a link: passed on, lost, doubled, late, overtaken. The same rule
// with the same seed does the same to the same row of datagrams.
import { createHash } from 'node:crypto';
import { clearRule, type LinkRule } from './link-rules.ts';

/** More than a cluster sends in a minute of delay; beyond it a datagram is lost, as in any full queue. */
const heldMax = 50_000;
/** A datagram that others are to overtake is held so long. */
const overtakenMs = { min: 5, max: 30 };

export class DatagramLane {
  readonly #name: string;
  #rule: LinkRule = clearRule;
  #drawn = 0;
  readonly #held = new Set<NodeJS.Timeout>();

  constructor(name: string) {
    this.#name = name;
  }

  /** What is under way keeps what was drawn for it. */
  setRule(rule: LinkRule): void {
    this.#rule = rule;
    this.#drawn = 0;
  }

  pass(deliver: () => void): void {
    const rule = this.#rule;
    if (rule === clearRule) return deliver();
    if (rule.cut || this.#chance() < rule.loss) return undefined;
    const copies = this.#chance() < rule.duplicate ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#deliverIn(this.#drawDelayMs(rule), deliver);
    return undefined;
  }

  close(): void {
    for (const timer of this.#held) clearTimeout(timer);
    this.#held.clear();
  }

  #drawDelayMs({ delayMs, jitterMs, reorder }: LinkRule): number {
    const jitter = (2 * this.#chance() - 1) * jitterMs;
    const isOvertaken = this.#chance() < reorder;
    const held = isOvertaken ? overtakenMs.min + this.#chance() * (overtakenMs.max - overtakenMs.min) : 0;
    return Math.max(0, delayMs + jitter) + held;
  }

  #deliverIn(ms: number, deliver: () => void): void {
    if (ms === 0) return deliver();
    if (this.#held.size >= heldMax) return undefined;
    const timer = setTimeout(() => {
      this.#held.delete(timer);
      deliver();
    }, ms);
    this.#held.add(timer);
    return undefined;
  }

  #chance(): number {
    const text = `${this.#rule.seed} ${this.#name} ${this.#drawn++}`;
    return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
  }
}
