// What is done to a system in a run, drawn from a seed: each kind of fault to each kind of target comes once before any
// comes again, at times and for durations that are chance. Pure: nemesis.ts carries it out.
import { Chance } from '../simulation/chance.ts';

export const faultKinds = [
  'kill',
  'pause',
  'kill-handler',
  'pause-handler',
  'kill-publisher',
  'pause-publisher',
  'cut',
  'swallow',
  'network',
  'kill-supervisor',
  'pause-supervisor',
] as const;
export type FaultKind = (typeof faultKinds)[number];
export interface Fault {
  readonly kind: FaultKind;
  /** A service as `baton status` names it, or `leader`; a function; a link; a publisher's source; a command of `baton chaos`. */
  readonly target: string;
  /** After the fault before it. */
  readonly afterMs: number;
  /** Of a pause or a black hole. */
  readonly forMs: number;
}

/** What became of a fault. */
export interface Tried {
  readonly kind: FaultKind;
  readonly hit: boolean;
}

/** Kinds that hit nothing although they were tried more than once. One can come at a bad moment; two look the wrong way. */
export function neverHit(tried: readonly Tried[]): FaultKind[] {
  return [...Map.groupBy(tried, ({ kind }) => kind)]
    .filter(([, tries]) => tries.length > 1 && tries.every(({ hit }) => !hit))
    .map(([kind]) => kind);
}

const services = [
  'leader',
  'node-1',
  'node-2',
  'node-3',
  'lambda',
  'event-sources',
  'broker',
  'database',
  'ftp',
  'smtp',
  'aws',
];
const handlers = ['deliver', 'deliver', 'deliver', 'mail', 'announce']; // Most of the work is deliver's.
const links = ['broker', 'stream'];
/** Of the votes, by UDP. */
const networkFaults = [
  'partition leader',
  'partition leader one-way',
  'partition node-1 / node-2,node-3',
  'partition node-2 / node-3 one-way',
  'loss all 30%',
  'delay all 30ms+-30',
  'duplicate all 50%',
  'reorder all 50%',
];

function deckOf(sources: readonly string[]): Pick<Fault, 'kind' | 'target'>[] {
  const all = (kind: FaultKind, targets: readonly string[]) => targets.map((target) => ({ kind, target }));
  return [
    ...all('kill', services),
    ...all('pause', services),
    ...all('kill-handler', handlers),
    ...all('pause-handler', handlers),
    ...all('kill-publisher', sources),
    ...all('pause-publisher', sources),
    ...all('cut', links),
    ...all('swallow', links),
    ...all('network', networkFaults),
    ...all('kill-supervisor', ['supervisor']),
    ...all('pause-supervisor', ['supervisor']),
  ];
}

const betweenMs = { min: 200, max: 1_500 };
/** Around the election timeout, and around the longest wait of a client. */
const shortMs = { min: 100, max: 1_500 };
const longMs = { min: 1_500, max: 12_000 };
const longShare = 0.2;

/** Without end. */
export function* drawFaults({
  seed,
  sources,
}: {
  seed: number;
  sources: readonly string[];
}): Generator<Fault> {
  const chance = new Chance(seed);
  for (;;)
    for (const deck = deckOf(sources); deck.length > 0;) {
      const [drawn] = deck.splice(chance.below(deck.length), 1);
      const { min, max } = chance.happens(longShare) ? longMs : shortMs;
      yield {
        ...(drawn as Pick<Fault, 'kind' | 'target'>),
        afterMs: Math.round(chance.between(betweenMs.min, betweenMs.max)),
        forMs: Math.round(chance.between(min, max)),
      };
    }
}
