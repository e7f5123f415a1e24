// Takes out safeguards in turn and tells what finds each missing. First it takes out nothing: what fails in an untouched copy
// would pass for a find of every mutation.
import type { Mutation } from './mutations.ts';

/** What to call for the control alone. */
export const controlName = 'nothing';
export const untouched: Mutation = { safeguard: controlName, file: '', edits: [] };

interface List<M extends Mutation> {
  readonly mutations: readonly M[];
  /** What found it; null: nothing did. @throws Error when it could not be tried. */
  readonly finderOf: (mutation: M) => Promise<string | null>;
  /** The same with an untouched copy, by all that finds any mutation. */
  readonly control: () => Promise<string | null>;
}

/** @returns the exit code: 0 for as it has to be, 1 for a safeguard that nothing misses or a find of nothing, 2 for no such name. */
export async function takeOut<M extends Mutation>(
  { mutations, finderOf, control }: List<M>,
  names: readonly string[],
): Promise<number> {
  const known = [controlName, ...mutations.map(({ safeguard }) => safeguard)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    console.error(`no safeguard is called '${unknown}'. There are:\n${known.join('\n')}`);
    return 2;
  }
  const isWanted = (name: string): boolean => names.length === 0 || names.includes(name);
  let wrong = 0;
  if (isWanted(controlName)) {
    const finder = await control();
    if (finder !== null) wrong += 1;
    console.log(
      finder === null
        ? 'control  : nothing taken out, nothing found'
        : `BROKEN    without a change: ${finder}`,
    );
  }
  for (const mutation of mutations) {
    if (!isWanted(mutation.safeguard)) continue;
    const finder = await finderOf(mutation);
    if (finder === null) wrong += 1;
    console.log(
      `${finder === null ? 'UNNOTICED' : 'found    '} without '${mutation.safeguard}': ${finder ?? 'nothing failed'}`,
    );
  }
  return wrong > 0 ? 1 : 0;
}
