// What a simulated cluster was seen to do, record by record: a vocabulary of its own, plain data that goes into a file
// and comes back. It says what left a node, reached it and got to its disk, never why; nothing here knows the core.

export type Message = { readonly term: number; readonly generation: number } & (
  | { readonly kind: 'pre-vote-request'; readonly round: number }
  | {
      readonly kind: 'pre-vote-answer';
      readonly round: number;
      readonly candidateBoot: string;
      readonly granted: boolean;
    }
  | { readonly kind: 'vote-request'; readonly transfer: boolean }
  | { readonly kind: 'vote-answer'; readonly candidateBoot: string; readonly granted: boolean }
  | { readonly kind: 'heartbeat' | 'heartbeat-answer'; readonly sequence: number }
  | { readonly kind: 'transfer-now' | 'term-request' | 'term-answer' }
);

export interface Ballot {
  readonly term: number;
  readonly votedFor: string | null;
}

export interface Start {
  readonly kind: 'start';
  readonly boot: string;
  readonly generation: number;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  readonly priority: number;
  readonly electionTimeoutMs: number;
  /** What it found. */
  readonly disk: Ballot | null;
  /** Its vote file was there once and is gone. */
  readonly lost: boolean;
  /** What others had of its lost votes, nobody who is left can tell it. */
  readonly unknowable: boolean;
  /** The highest term that the database recorded for any member, when it was asked at this start. */
  readonly termAtLeast: number;
}

export type Fact =
  | Start
  | { readonly kind: 'end' }
  | ({ readonly kind: 'write' } & Ballot)
  /** The disk did not take it. Once it takes records again, this one may be the first. */
  | ({ readonly kind: 'write-failed' } & Ballot)
  | { readonly kind: 'send'; readonly to: string; readonly message: Message }
  | {
      readonly kind: 'receive';
      readonly from: string;
      readonly fromBoot: string;
      readonly message: Message;
    }
  /** It saw the process of this boot end, or what looks like it. */
  | { readonly kind: 'evidence'; readonly leader: string; readonly leaderBoot: string }
  /** It began to lead. */
  | { readonly kind: 'leads'; readonly term: number }
  /** What it takes itself for after each step. `lateMs`: how late its timer is, or may be, at this moment. */
  | { readonly kind: 'state'; readonly term: number; readonly leading: boolean; readonly lateMs: number }
  | { readonly kind: 'votes-again'; readonly reason: string }
  /** The database took, or refused, a claim of the fence; and a fenced write. */
  | { readonly kind: 'claim' | 'store'; readonly term: number; readonly taken: boolean }
  /** The database told it the term of the fence. */
  | { readonly kind: 'fence-refused'; readonly term: number }
  /** Of no node: the fence is at this term because somebody else claimed it, or (no holder) because later claims were lost. */
  | { readonly kind: 'fence-moved'; readonly term: number; readonly holder: string | null }
  /** For people. */
  | { readonly kind: 'remark'; readonly text: string };

export type TraceRecord = Fact & {
  /** Milliseconds of the simulation, which no node knows. */
  readonly at: number;
  readonly node: string;
  /** What the node's own clock shows. */
  readonly clock: number;
};

/** One line for people. */
export function describe({ at, node, ...fact }: TraceRecord): string {
  const { kind, clock, ...rest } = fact;
  const what = kind === 'remark' ? fact.text : `${kind} by ${clock.toFixed(2)}: ${JSON.stringify(rest)}`;
  return `${at.toFixed(2).padStart(10)} ${node.padEnd(3)} ${what}`;
}
