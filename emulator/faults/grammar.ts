// The one language of faults, read from the command line, from the page and from tests alike:
//
//   partition node-1 / node-2,node-3        delay node-1 20ms+-5        loss leader 30% one-way
//   pause leader for 10s                    duplicate all 50%           reorder node-2 / node-3 25% for 2m seed 7
//
// One name stands for all links of that node. Every fault but `kill` heals by itself. Pure: knows no running system.

/** Where on the network: from each of these to each of those; `to` null: to every other node. */
interface Where {
  readonly from: readonly string[];
  readonly to: readonly string[] | null;
  /** Only what goes that way; else the way back too. */
  readonly oneWay: boolean;
}
export type NetworkFault = Where &
  (
    | { readonly kind: 'partition' }
    | { readonly kind: 'delay'; readonly ms: number; readonly jitterMs: number }
    | { readonly kind: 'loss' | 'duplicate' | 'reorder'; readonly share: number }
  );
export type Fault =
  | NetworkFault
  | { readonly kind: 'pause'; readonly target: string }
  | { readonly kind: 'kill'; readonly target: string };

export type ChaosCommand =
  | {
      readonly kind: 'inject';
      readonly fault: Fault;
      readonly forMs: number;
      /** Whoever says the same seed again loses the same datagrams of a link again. */
      readonly seed: number;
    }
  /** `number`: as `list` shows it; null: all of them. */
  | { readonly kind: 'heal'; readonly number: number | null }
  | { readonly kind: 'list' };

export const chaosUsage = `partition <nodes> [/ <nodes>]
delay <nodes> [/ <nodes>] 20ms[+-5]
loss|duplicate|reorder <nodes> [/ <nodes>] 30%
pause|kill <service>
heal [<number>]
list
  <nodes>: node-1, or node-1,node-2, or leader, or all; without the second list: to every other node
  one-way: only from the first to the second;  for 30s: heals after that;  seed 7: the same datagrams again`;

const forMsDefault = 30_000;
const forMsMax = 3_600_000;
const delayMsMax = 60_000;
const unitMs = { ms: 1, s: 1_000, m: 60_000 } as const;
type Unit = keyof typeof unitMs;

/** @throws Error that says what was not understood, and the grammar. */
export function parseChaos(text: string): ChaosCommand {
  const words = text.trim().split(/\s+/);
  const [verb = ''] = words;
  const phrases = takePhrases(words.slice(1));
  const { rest } = phrases;
  switch (verb) {
    case 'list':
      nothingMore(rest);
      return { kind: 'list' };
    case 'heal': {
      const [number] = rest;
      nothingMore(rest.slice(1));
      return { kind: 'heal', number: number === undefined ? null : wholeNumber(number) };
    }
    case 'kill':
    case 'pause': {
      const [target] = rest;
      if (target === undefined) throw misread(`${verb} needs a service`);
      nothingMore(rest.slice(1));
      return inject(phrases, { kind: verb, target });
    }
    case 'partition':
      return inject(phrases, { kind: verb, ...parseWhere(phrases, rest) });
    case 'delay': {
      const { ms, jitterMs } = parseDelay(rest.at(-1));
      return inject(phrases, { kind: verb, ...parseWhere(phrases, rest.slice(0, -1)), ms, jitterMs });
    }
    case 'loss':
    case 'duplicate':
    case 'reorder': {
      const share = parseShare(rest.at(-1));
      return inject(phrases, { kind: verb, ...parseWhere(phrases, rest.slice(0, -1)), share });
    }
    default:
      throw misread(`there is no fault ${JSON.stringify(verb)}`);
  }
}

/** The same language again. */
export function faultText(fault: Fault): string {
  switch (fault.kind) {
    case 'kill':
    case 'pause':
      return `${fault.kind} ${fault.target}`;
    case 'partition':
      return `partition ${whereText(fault)}`;
    case 'delay':
      return `delay ${whereText(fault, `${fault.ms}ms${fault.jitterMs > 0 ? `+-${fault.jitterMs}` : ''}`)}`;
    case 'loss':
    case 'duplicate':
    case 'reorder':
      return `${fault.kind} ${whereText(fault, `${Number((fault.share * 100).toFixed(2))}%`)}`;
  }
}

function whereText({ from, to, oneWay }: Where, amount?: string): string {
  const between = to === null ? from.join(',') : `${from.join(',')} / ${to.join(',')}`;
  return [between, ...(amount === undefined ? [] : [amount]), ...(oneWay ? ['one-way'] : [])].join(' ');
}

interface Phrases {
  readonly rest: readonly string[];
  readonly oneWay: boolean;
  readonly forMs: number;
  readonly seed: number;
}

/** `one-way`, `for <time>` and `seed <number>` may stand anywhere behind the verb. */
function takePhrases(words: readonly string[]): Phrases {
  const rest: string[] = [];
  let [oneWay, forMs, seed] = [false, forMsDefault, 1];
  const left = words.values();
  for (const word of left) {
    if (word === 'one-way') oneWay = true;
    else if (word === 'for') forMs = parseTime(left.next().value);
    else if (word === 'seed') seed = wholeNumber(left.next().value);
    else rest.push(word);
  }
  if (forMs > forMsMax) throw misread('a fault lasts an hour at most');
  return { rest, oneWay, forMs, seed };
}

const inject = ({ forMs, seed }: Phrases, fault: Fault): ChaosCommand => ({
  kind: 'inject',
  fault,
  forMs,
  seed,
});

function parseWhere({ oneWay }: Phrases, words: readonly string[]): Where {
  // `node-1 node-2` could mean both against all others, or one against the other.
  const beside = words.findIndex(
    (word, index) => !/[,/]$/.test(word) && /^[^,/]/.test(words[index + 1] ?? ','),
  );
  if (beside >= 0)
    throw misread(
      `between ${words[beside]} and ${words[beside + 1]} stands a comma, which cuts both off from all others, or a / which cuts them off from each other`,
    );
  const [from = '', to, ...more] = words.join(' ').split('/');
  if (more.length > 0) throw misread('there are two sides of a link');
  return { from: parseNames(from), to: to === undefined ? null : parseNames(to), oneWay };
}

function parseNames(text: string): string[] {
  const names = text.split(/[\s,]+/).filter(Boolean);
  const wrong = names.find((name) => !/^[a-z0-9][a-z0-9.-]{0,62}$/.test(name));
  if (wrong !== undefined) throw misread(`${JSON.stringify(wrong)} is no name of a node`);
  if (names.length === 0) throw misread('which nodes?');
  return names;
}

function parseDelay(text = ''): { ms: number; jitterMs: number } {
  const found = /^(?<ms>\d+)ms(?:\+-(?<jitter>\d+)(?:ms)?)?$/.exec(text)?.groups;
  const ms = Number(found?.['ms']);
  const jitterMs = Number(found?.['jitter'] ?? 0);
  if (!found || ms + jitterMs > delayMsMax)
    throw misread(`${JSON.stringify(text)} is no delay such as 20ms+-5`);
  return { ms, jitterMs };
}
function parseShare(text = ''): number {
  const percent = Number(/^(?<percent>\d+(?:\.\d+)?)%$/.exec(text)?.groups?.['percent'] ?? NaN);
  if (!(percent > 0 && percent <= 100)) throw misread(`${JSON.stringify(text)} is no share such as 30%`);
  return percent / 100;
}
function parseTime(text = ''): number {
  const found = /^(?<count>\d+)(?<unit>ms|s|m)$/.exec(text)?.groups;
  const ms = Number(found?.['count']) * unitMs[(found?.['unit'] ?? 'ms') as Unit];
  if (!(ms > 0)) throw misread(`${JSON.stringify(text)} is no time such as 30s`);
  return ms;
}
function wholeNumber(text = ''): number {
  if (!/^\d{1,9}$/.test(text)) throw misread(`${JSON.stringify(text)} is no whole number`);
  return Number(text);
}
function nothingMore(words: readonly string[]): void {
  if (words.length > 0) throw misread(`${JSON.stringify(words.join(' '))} is not understood here`);
}
const misread = (what: string): Error => new Error(`${what}. What can be said:\n${chaosUsage}`);
