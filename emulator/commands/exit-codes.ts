// How a command ends: its exit code, and what went wrong in one line.
import { notAgreedExitCode } from '../../runtime/agreed.ts';
import { describeError } from '../../runtime/failure.ts';

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  nothingRunning: 3,
  notAgreed: notAgreedExitCode,
} as const;

/** Takes a command's exit code. */
export type Finish = (code: number) => void;

/** What went wrong has an exit code of its own; any other error is `failed`. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(kind: keyof typeof exitCodes, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitCode = exitCodes[kind];
  }
}

/** A command's exit code; what goes wrong is said in one line. */
export async function orFailed(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    process.stderr.write(`${describeError(error).replaceAll(/\s*\n\s*/g, ' ')}\n`);
    return error instanceof CommandError ? error.exitCode : exitCodes.failed;
  }
}
