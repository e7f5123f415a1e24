// Takes up secrets that are renewed while the node runs: certificates end after weeks and keys are rolled, and neither may
// cost a leader. A value that cannot be used is reported and the one before it stays in use. Never logs a secret.
import { describeError } from '../runtime/failure.ts';

export interface Renewal {
  readonly name: string;
  /** Takes the new value up when there is one. @throws Error when it cannot be read or used. */
  look(): Promise<void>;
}
export interface Renewals {
  close(): void;
}

/** Secrets are read anew every minute (runtime/secrets.ts), so a renewed one is in use 80 s later at the most. */
const lookEveryMs = 20_000;

export function renewal<T>(name: string, known: T, read: () => Promise<T>, use: (value: T) => void): Renewal {
  let inUse = JSON.stringify(known);
  return {
    name,
    async look() {
      const value = await read();
      const text = JSON.stringify(value);
      if (text === inUse) return;
      use(value);
      inUse = text;
    },
  };
}

export function watchRenewals(
  renewals: readonly Renewal[],
  { report, everyMs = lookEveryMs }: { report: (detail: string) => void; everyMs?: number },
): Renewals {
  let closed = false;
  let timer = setTimeout(() => void look(), everyMs);
  async function look(): Promise<void> {
    for (const one of renewals)
      await one
        .look()
        .catch((error: unknown) =>
          report(`${one.name} cannot be renewed, the one before stays in use: ${describeError(error)}`),
        );
    if (!closed) timer = setTimeout(() => void look(), everyMs);
  }
  return {
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
