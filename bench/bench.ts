// What every benchmark here answers, and the one statistic they use.
export interface Result {
  readonly what: string;
  readonly unit: string;
  /** Median over the rounds. */
  readonly ours: number;
  /** The peer's or the floor's median in the same run; null where there is none, and `what` says how to get it. */
  readonly peer: number | null;
  readonly ratio: number | null;
  readonly goal: string | null;
  readonly met: boolean | null;
}
export type Bench = (options: { rounds: number }) => Promise<Result[]>;

/** A figure that nothing was measured beside. */
export function measured(what: string, unit: string, value: number, atMost?: number): Result {
  return {
    what,
    unit,
    ours: round(value, value < 100 ? 1 : 0),
    peer: null,
    ratio: null,
    goal: atMost === undefined ? null : `<= ${atMost} ${unit}`.trim(),
    met: atMost === undefined ? null : value <= atMost,
  };
}
/** What could not be measured here, and why. */
export function unmeasured(what: string, unit: string): Result {
  return { what, unit, ours: NaN, peer: null, ratio: null, goal: null, met: null };
}

/** @throws RangeError without values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  if (low === undefined || high === undefined) throw new RangeError('no values');
  return (low + high) / 2;
}

/** By nearest rank, but for the median. @throws RangeError without values. */
export function quantile(values: readonly number[], share: number): number {
  if (share === 0.5) return median(values);
  const sorted = [...values].sort((one, other) => one - other);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('no values');
  return value;
}
/** Of fewer values a quantile is just their maximum. */
export const hasQuantile = (values: readonly number[], share: number): boolean =>
  values.length > 0 && (share === 0.5 || share === 1 || values.length * (1 - share) > 0.999);
export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
