// Environment in, frozen settings out: read once, in main.ts or handler.ts. Names every wrong variable at once.
import { environments, type Environment, type ProcessName } from '../contracts/environment.ts';

export class EnvironmentError extends Error {
  readonly problems: readonly string[];
  constructor(process: string, problems: readonly string[]) {
    super(
      `${process} cannot start, ${problems.length} variable(s) are missing or wrong:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
    this.name = 'EnvironmentError';
    this.problems = problems;
  }
}

/** @throws EnvironmentError naming every missing or wrong variable. */
export function readEnvironment<P extends ProcessName>(
  process: P,
  variables: Readonly<Record<string, string | undefined>>,
): Readonly<Environment<P>> {
  // An empty variable is a missing one: compose files and shells cannot leave a name away.
  const present = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = environments[process].safeParse(present);
  if (result.success) return Object.freeze(result.data) as Readonly<Environment<P>>;
  throw new EnvironmentError(
    process,
    result.error.issues.map((issue) => {
      const name = String(issue.path[0] ?? '?');
      return present[name] === undefined ? `${name} is missing` : `${name} is wrong: ${issue.message}`;
    }),
  );
}
