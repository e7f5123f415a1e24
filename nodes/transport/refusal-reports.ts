// Refused datagrams that a person has to do something about: a peer of another cluster, release, generation or key. Each is
// told once per peer and cause in a while, and all of them together are bounded, since anybody can send forged headers.
import type { Refusal } from './sessions.ts';

const tellEveryMs = 10_000;
const toldMax = 100;

/** Refusals that mean a wrong configuration or release rather than noise. */
const remedies: Partial<Record<Refusal, string>> = {
  'newer-version': 'speaks a newer protocol than this release knows: update this node',
  'older-version': 'speaks an older protocol than this release accepts: update that node',
  'foreign-cluster': 'belongs to another cluster: its database or its address is wrong',
  'other-generation': 'is more than one generation of the membership away: stop it or bring it up to date',
  'other-members': 'has another list of members under the same generation number',
  'unknown-key': 'seals with a cluster key that this node does not have',
  'not-a-message': 'sends messages that this release does not understand',
};
/** Anybody may send one under any name; from the very address that the peer is configured with it is more than noise. */
const forgedAtPeer =
  "seals with another key than this node has under the same id: one of the two keys is not the cluster's (a new key needs a new id)";

export class RefusalReports {
  readonly #now: () => number;
  readonly #onProblem: (problem: { code: string; detail: string }) => void;
  readonly #toldAt = new Map<string, number>();

  constructor({
    now,
    onProblem,
  }: {
    now: () => number;
    onProblem: (problem: { code: string; detail: string }) => void;
  }) {
    this.#now = now;
    this.#onProblem = onProblem;
  }

  /** @param about.source `address:port`. `atPeer`: that of `from`. */
  report(
    refusal: Refusal,
    { from, source, atPeer }: { from: string | undefined; source: string; atPeer: boolean },
  ): void {
    const remedy = refusal === 'forged' && atPeer ? forgedAtPeer : remedies[refusal];
    if (remedy === undefined || !this.#isNews(`${refusal} ${from ?? source.replace(/:\d+$/, '')}`)) return;
    const sender = from ?? `a sender at ${source}`;
    this.#onProblem({ code: `datagram.${refusal}`, detail: `${sender} ${remedy}` });
  }

  #isNews(key: string): boolean {
    const isOld = (at: number): boolean => this.#now() - at >= tellEveryMs;
    if (!isOld(this.#toldAt.get(key) ?? -Infinity)) return false;
    // Headers are not authenticated yet: forged ones must not fill the log either.
    if (this.#toldAt.size >= toldMax)
      for (const [told, at] of this.#toldAt) if (isOld(at)) this.#toldAt.delete(told);
    if (this.#toldAt.size >= toldMax) return false;
    this.#toldAt.set(key, this.#now());
    return true;
  }
}
