// What dead letters ask of the database: kept as they are taken, looked at, decided about, sent again. nodes/database
// fulfils it; every call with a `term` is fenced.
import type {
  DeadLetter,
  DeadLetterAction,
  DeadLetterGroup,
  DeadLetterSelection,
} from '../../contracts/dead-letter.ts';

/** As it was taken from its queue. */
export interface NewDeadLetter {
  readonly queue: string;
  readonly routingKey: string;
  readonly messageId: string;
  /** Empty where its publisher gave none, as the id. */
  readonly type: string;
  readonly source: string | null;
  readonly code: string;
  readonly reason: string;
  readonly group: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly traceparent: string | null;
  /** How often it had been sent again. */
  readonly retries: number;
  /** The letter it was before that. */
  readonly cameFrom: number | null;
  /** Two of one fingerprint are one letter that was buried or taken twice. */
  readonly fingerprint: Buffer;
  readonly diedAt: Date;
}
export interface StoredDeadLetter extends DeadLetter {
  readonly type: string;
  readonly routingKey: string;
  readonly traceparent: string | null;
  readonly cameFrom: number | null;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  /** As it died, when it was edited since. */
  readonly bodyBefore: Buffer | null;
}
export interface LetterToSend {
  readonly id: number;
  readonly queue: string;
  readonly routingKey: string;
  readonly messageId: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly retries: number;
}
export interface DeadLetterFilter {
  readonly state?: DeadLetter['state'] | undefined;
  readonly group?: string | undefined;
  readonly queue?: string | undefined;
  readonly code?: string | undefined;
  readonly source?: string | undefined;
}
export interface Settlement {
  /** A uuid; said again with the same one, it goes on. */
  readonly action: string;
  readonly kind: 'retry' | 'discard';
  readonly by: string;
  readonly reason: string | null;
  readonly select: DeadLetterSelection;
  /** No letter that came later. */
  readonly upTo: number;
  readonly lettersMax: number;
}

export interface DeadLetterStore {
  /** Once each, however often they are taken. */
  keepDeadLetters(term: number, letters: readonly NewDeadLetter[]): Promise<void>;
  /** By queue; those that are being sent again count until they are confirmed. */
  openDeadLetters(): Promise<Record<string, number>>;
  /** Of those that can be decided about: they wait, or are being sent again and are to be discarded by their ids. */
  deadLetterGroups(select: DeadLetterSelection, forWhat?: 'retry' | 'discard'): Promise<DeadLetterGroup[]>;
  /** Oldest first, with ids above `after`. */
  deadLetters(filter: DeadLetterFilter, page: { after: number; limit: number }): Promise<DeadLetter[]>;
  deadLetter(id: number): Promise<{ letter: StoredDeadLetter; actions: DeadLetterAction[] } | undefined>;
  deadLetterActions(limit: number): Promise<DeadLetterAction[]>;
  /** The newest id there is, 0 without any. */
  lastDeadLetter(): Promise<number>;
  /** One bounded step. @returns how many letters it settled. */
  settleDeadLetters(term: number, settlement: Settlement): Promise<number>;
  /** @returns false when it is settled already. */
  editDeadLetter(
    term: number,
    edit: { action: string; by: string; id: number; body: Buffer },
  ): Promise<boolean>;
  deadLettersToSend(term: number, limits: { lettersMax: number; bytesMax: number }): Promise<LetterToSend[]>;
  /** They were confirmed and routed. */
  deadLettersSent(term: number, ids: readonly number[]): Promise<void>;
}
