// Numbers and times for people, in the reader's own language and time zone.
const formats = new Map<string, Intl.NumberFormat>();
const plainPrice = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const counts = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});

export function formatPrice(price: number | null, currency: string | null): string {
  if (price === null) return 'no price';
  if (currency === null) return plainPrice.format(price);
  let format = formats.get(currency);
  if (!format) {
    format = new Intl.NumberFormat(undefined, { style: 'currency', currency, maximumFractionDigits: 4 });
    formats.set(currency, format); // At most as many as there are codes of three letters.
  }
  return format.format(price);
}

export function formatCount(count: number | null): string {
  return count === null ? '?' : counts.format(count);
}

export function formatClock(at: string): string {
  return clock.format(new Date(at));
}

/** How long ago: "40 ms", "3.2 s", "5 min". */
export function formatAge(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min`;
}

/** Seconds, in the unit that still tells two apart: "40 s", "12 min", "5 h", "3 days". */
export function formatSpan(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}
