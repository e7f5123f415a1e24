// Decides from a history alone whether Baton kept its promises. Shares no code with the product and asks it nothing: what
// is expected is computed from what publishers tried and what the database noted at each commit.
// An invariant that found nothing to check does not hold.
import { gatherFacts, itemKey, rowKey, type Attempted, type Facts, type RecordOf } from './facts.ts';
import type { HistoryRecord } from './history.ts';

export const invariants = {
  I1: 'every confirmed publish is a row at its version or a newer one, or a dead letter with a reason; nothing good is dead',
  I2: 'there is no row without an attempt',
  I3: 'each version of an item is applied at most once',
  I4: 'the versions applied to an item strictly rise',
  I5: 'every row is written in the term of the fence at its commit, and terms never fall',
  I6: 'one event for each row applied and no other, one effect for each watched event, in one mail, sent once unless counted as unknown, and no other mail',
  I7: 'queued + dead + applied + superseded = confirmed, once all is drained',
  I8: 'a reader sees no version go back and misses no event',
} as const;
export type Invariant = keyof typeof invariants;

export interface Violation {
  readonly what: string;
  /** The records that show it, and no others. */
  readonly evidence: readonly HistoryRecord[];
}
export interface Finding {
  readonly invariant: Invariant;
  readonly violations: number;
  /** With the least evidence. */
  readonly shortest: Violation;
}
export interface Verdict {
  /** Empty when every invariant held. */
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<string, number>>;
}

export async function check(
  history: AsyncIterable<HistoryRecord> | Iterable<HistoryRecord>,
): Promise<Verdict> {
  const facts = await gatherFacts(history);
  const findings = (Object.keys(invariants) as Invariant[]).flatMap((invariant): Finding[] => {
    let violations = 0;
    let shortest: Violation | undefined;
    for (const violation of checks[invariant](facts)) {
      violations += 1;
      if (!shortest || violation.evidence.length < shortest.evidence.length) shortest = violation;
    }
    return shortest ? [{ invariant, violations, shortest }] : [];
  });
  return { findings, counts: countsOf(facts) };
}

type Check = (facts: Facts) => Iterable<Violation>;

const checks: Record<Invariant, Check> = {
  *I1(facts) {
    if (facts.confirmed.size === 0) yield nothing('publish was confirmed');
    for (const attempt of facts.attempts.values())
      if (attempt.poison && facts.confirmed.has(attempt.message))
        yield* buried(facts, attempt.message, [attempt]);
    for (const item of facts.attempted.values()) {
      const attempt = facts.attempts.get(item.message);
      if (!attempt || !facts.confirmed.has(item.message)) continue;
      if (item.bad) yield* buried(facts, item.deadName, [attempt]);
      else {
        const row = facts.rows.get(rowKey(item));
        if (!row || row.version < item.version)
          yield {
            what: `${name(item)} was confirmed and is lost`,
            evidence: [attempt, { kind: 'confirmed', message: item.message }, ...(row ? [row] : [])],
          };
      }
    }
    const expected = new Set<string>();
    for (const { message, poison } of facts.attempts.values()) if (poison) expected.add(message);
    for (const { deadName, bad } of facts.attempted.values()) if (bad) expected.add(deadName);
    for (const [deadName, letters] of facts.dead)
      if (!expected.has(deadName)) {
        const [message = ''] = deadName.split('/');
        const attempt = facts.attempts.get(message);
        yield {
          what: `${deadName} ${attempt ? 'is good' : 'was published by nobody'} and was dead-lettered`,
          evidence: [...(attempt ? [attempt] : []), ...letters],
        };
      }
  },

  *I2(facts) {
    if (facts.rows.size === 0) yield nothing('row is there');
    for (const record of [...facts.rows.values(), ...facts.applied]) {
      const attempted = facts.attempted.get(itemKey(record));
      if (!attempted) yield { what: `nobody published ${name(record)}`, evidence: [record] };
      else if (attempted.bad)
        yield { what: `${name(record)} was written and is malformed`, evidence: [record] };
      else if (attempted.price !== record.price)
        yield { what: `${name(record)} was published at ${attempted.price}`, evidence: [record] };
    }
  },

  *I3({ appliedByRow }) {
    if (appliedByRow.size === 0) yield nothing('row was applied');
    for (const applications of appliedByRow.values()) {
      const first = new Map<number, RecordOf<'applied'>>();
      for (const application of applications) {
        const before = first.get(application.version);
        if (before) yield { what: `${name(application)} was applied twice`, evidence: [before, application] };
        else first.set(application.version, application);
      }
    }
  },

  *I4({ appliedByRow, rows }) {
    if (appliedByRow.size === 0) yield nothing('row was applied');
    for (const [key, applications] of appliedByRow) {
      for (const [index, application] of applications.entries()) {
        const before = applications[index - 1];
        if (before && before.version > application.version)
          yield {
            what: `${name(application)} came after version ${before.version}`,
            evidence: [before, application],
          };
        if ((before?.version ?? null) !== application.oldVersion)
          yield {
            what: `${name(application)} replaced version ${application.oldVersion}, which was not the one before it`,
            evidence: [...(before ? [before] : []), application],
          };
      }
      const last = applications.at(-1);
      const row = rows.get(key);
      if (last && row?.version !== last.version)
        yield {
          what: `${name(last)} was the last one applied, the row says ${row?.version}`,
          evidence: [last, ...(row ? [row] : [])],
        };
    }
  },

  *I5({ applied, claimed }) {
    if (claimed.length === 0) yield nothing('term was claimed');
    for (const [index, claim] of claimed.entries()) {
      const before = claimed[index - 1];
      if (
        before &&
        (before.term > claim.term || (before.term === claim.term && before.holder !== claim.holder))
      )
        yield { what: `term ${claim.term} was claimed after term ${before.term}`, evidence: [before, claim] };
    }
    let highest: RecordOf<'applied'> | undefined;
    let nextClaim = 0;
    for (const application of applied) {
      while ((claimed[nextClaim]?.order ?? Infinity) < application.order) nextClaim += 1;
      const holding = claimed[nextClaim - 1];
      if (application.term !== application.fenceTerm)
        yield {
          what: `${name(application)} was written in term ${application.term} when the fence was at ${application.fenceTerm}`,
          evidence: [application],
        };
      else if (holding?.term !== application.term)
        yield {
          what: `${name(application)} was written in term ${application.term}, the last one claimed was ${holding?.term}`,
          evidence: [...(holding ? [holding] : []), application],
        };
      if (highest && highest.term > application.term)
        yield {
          what: `${name(application)} was written in term ${application.term} after one of term ${highest.term}`,
          evidence: [highest, application],
        };
      if (!highest || application.term > highest.term) highest = application;
    }
  },

  *I6({ applied, appliedByRow, events, watches, effects, mails }) {
    if (effects.length === 0) yield nothing('mail was due');
    // Each version of ours differs from the one before it, so each is an event.
    const eventsOf = Map.groupBy(events, itemKey);
    for (const application of applied)
      if ((eventsOf.get(itemKey(application))?.length ?? 0) !== 1)
        yield {
          what: `${name(application)} was applied and is ${eventsOf.get(itemKey(application))?.length ?? 0} events`,
          evidence: [application, ...(eventsOf.get(itemKey(application)) ?? [])],
        };
    const applications = new Set(applied.map(itemKey));
    for (const found of events)
      if (!applications.has(itemKey(found)))
        yield { what: `event ${found.id} is of ${name(found)}, which was not applied`, evidence: [found] };
    const effectsOf = Map.groupBy(effects, (effect) => `${itemKey(effect)}\n${effect.recipient}`);
    const expected = new Set<string>();
    for (const watch of watches)
      for (const [index, application] of (appliedByRow.get(rowKey(watch)) ?? []).entries()) {
        const before = appliedByRow.get(rowKey(watch))?.[index - 1];
        if (!before || before.price <= application.price) continue;
        const key = `${itemKey(application)}\n${watch.recipient}`;
        expected.add(key);
        const found = effectsOf.get(key) ?? [];
        if (found.length !== 1)
          yield {
            what: `${name(application)} fell in price for ${watch.recipient} and is ${found.length} effects`,
            evidence: [before, application, ...found],
          };
      }
    for (const effect of effects) {
      if (!expected.has(`${itemKey(effect)}\n${effect.recipient}`))
        yield { what: `${name(effect)} did not fall in price for ${effect.recipient}`, evidence: [effect] };
      const copies = mails.get(effect.messageId) ?? 0;
      if (copies > 1 + effect.unknowns)
        yield {
          what: `the mail about ${name(effect)} arrived ${copies} times, ${effect.unknowns} outcomes were unknown`,
          evidence: [effect],
        };
      if (copies === 0 && effect.state === 'sent')
        yield { what: `the mail about ${name(effect)} was sent and never arrived`, evidence: [effect] };
      if (!openOrDone.has(effect.state) && !(effect.state === 'failed' && effect.unknowns >= doubtsMax))
        yield { what: `the mail about ${name(effect)} is ${effect.state} in the end`, evidence: [effect] };
    }
    const named = new Set(effects.map(({ messageId }) => messageId).filter((messageId) => messageId !== ''));
    for (const messageId of mails.keys())
      if (!named.has(messageId))
        yield {
          what: `a mail arrived that tells of no effect: ${messageId || 'it has no Message-ID'}`,
          evidence: [{ kind: 'mail', messageId }],
        };
  },

  *I7(facts) {
    const { drained, applied } = facts;
    if (!drained) return yield nothing('end was recorded');
    for (const [queue, messages] of Object.entries(drained.queues))
      if (messages > 0) yield { what: `${messages} messages are left in ${queue}`, evidence: [drained] };
    const sums = settle(facts);
    if (sums.dead + sums.applied + sums.superseded !== sums.confirmed)
      yield {
        what: `${sums.dead} dead + ${sums.applied} applied + ${sums.superseded} superseded is not ${sums.confirmed} confirmed`,
        evidence: [drained],
      };
    if (drained.itemVersions !== applied.length)
      yield {
        what: `the system counts ${drained.itemVersions} versions, the database noted ${applied.length}`,
        evidence: [drained],
      };
  },

  *I8({ looks, streams, events, drained }) {
    if (looks.size === 0 || streams.size === 0) yield nothing('reader looked');
    for (const seen of [...looks.values(), ...streams.values()]) {
      const last = new Map<string, RecordOf<'looked'> | RecordOf<'streamed'>>();
      for (const record of seen) {
        if (record.kind === 'reset') continue;
        const before = last.get(rowKey(record));
        if (before && before.version > record.version)
          yield {
            what: `${record.reader} saw ${name(record)} after version ${before.version}`,
            evidence: [before, record],
          };
        last.set(rowKey(record), record);
      }
    }
    const eventOf = new Map(events.map((event) => [event.id, event]));
    for (const stream of streams.values()) {
      let last: RecordOf<'streamed'> | undefined;
      for (const record of stream) {
        if (record.kind === 'reset') {
          yield { what: `${record.reader} was not resumed`, evidence: [...(last ? [last] : []), record] };
          continue;
        }
        if (record.id !== (last?.id ?? 0) + 1)
          yield {
            what: `${record.reader} saw event ${record.id} after ${last?.id ?? 'none'}`,
            evidence: [...(last ? [last] : []), record],
          };
        const event = eventOf.get(record.id);
        if (!event || itemKey(event) !== itemKey(record))
          yield {
            what: `${record.reader} saw another event ${record.id} than the feed has`,
            evidence: [record, ...(event ? [event] : [])],
          };
        last = record;
      }
      if (drained && last && last.id !== drained.feedLast)
        yield {
          what: `${last.reader} ended at event ${last.id} of ${drained.feedLast}`,
          evidence: [last, drained],
        };
    }
  },
};

/** So often in doubt, a mail is given up. */
const doubtsMax = 3;

/** `gathered`, `claimed` and `unknown`: the pause between two mails, its lease or its wait is longer than this run. */
const openOrDone: ReadonlySet<string> = new Set(['sent', 'gathered', 'claimed', 'unknown']);

/** Of what was confirmed: what became of it. Items, each version once; messages that nobody could read count as one. */
function settle({ attempts, attempted, confirmed, rows, dead, appliedByRow }: Facts): {
  confirmed: number;
  dead: number;
  applied: number;
  superseded: number;
} {
  const sums = { confirmed: 0, dead: 0, applied: 0, superseded: 0 };
  for (const { message, poison } of attempts.values())
    if (poison && confirmed.has(message)) {
      sums.confirmed += 1;
      if (dead.has(message)) sums.dead += 1;
    }
  const applications = new Set([...appliedByRow.values()].flat().map(itemKey));
  for (const [key, item] of attempted) {
    if (!confirmed.has(item.message)) continue;
    sums.confirmed += 1;
    if (dead.has(item.deadName)) sums.dead += 1;
    if (applications.has(key)) sums.applied += 1;
    else if (!dead.has(item.deadName) && (rows.get(rowKey(item))?.version ?? 0) > item.version)
      sums.superseded += 1;
  }
  return sums;
}

function countsOf(facts: Facts): Record<string, number> {
  const { confirmed: confirmedItems, ...sums } = settle(facts);
  const size = (lists: Map<string, unknown[]>): number =>
    [...lists.values()].reduce((total, list) => total + list.length, 0);
  return {
    faults: facts.faults.length,
    messages: facts.attempts.size,
    confirmed: facts.confirmed.size,
    items: facts.attempted.size,
    confirmedItems,
    ...sums,
    rows: facts.rows.size,
    terms: facts.claimed.length,
    events: facts.events.length,
    deadLetters: size(facts.dead),
    effects: facts.effects.length,
    mailsArrived: [...facts.mails.values()].reduce((total, copies) => total + copies, 0),
    mailsUnknown: facts.effects.reduce((total, { unknowns }) => total + unknowns, 0),
    mailsOpen: facts.effects.filter(({ state }) => state !== 'sent').length,
    looks: size(facts.looks),
    streamed: size(facts.streams),
  };
}

function* buried({ dead }: Facts, deadName: string, evidence: HistoryRecord[]): Iterable<Violation> {
  const letters = dead.get(deadName) ?? [];
  if (letters.length === 0) yield { what: `${deadName} was confirmed, is bad and no dead letter`, evidence };
  for (const letter of letters)
    if (letter.code === '' || letter.reason === '')
      yield { what: `${deadName} was dead-lettered without a reason`, evidence: [...evidence, letter] };
}

function nothing(what: string): Violation {
  return { what: `no ${what}: there was nothing to check`, evidence: [] };
}

function name({ source, sku, version }: Pick<Attempted, 'source' | 'sku' | 'version'>): string {
  return `${source}/${sku} version ${version}`;
}
