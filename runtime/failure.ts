// The Error of this project: a code from contracts/failures.ts, a sentence on what was being done, a cause.
import { failures, type FailureCode, type FailureRule } from '../contracts/failures.ts';

export class Failure extends Error {
  readonly code: FailureCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: FailureCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'Failure';
    this.code = code;
    this.details = options.details ?? {};
  }

  get rule(): FailureRule {
    return failures[this.code];
  }
}

/** What nobody gave a code is INTERNAL. */
export function codeOf(error: unknown): FailureCode {
  return error instanceof Failure ? error.code : 'INTERNAL';
}

/** The whole chain in one line: "writing batch: connection refused: ECONNREFUSED 127.0.0.1:5432". */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 8 && current !== undefined && current !== null; depth++) {
    if (current instanceof AggregateError) {
      parts.push(current.errors.map((inner) => describeError(inner)).join('; '));
      break;
    }
    const text = current instanceof Error ? current.message || current.name : JSON.stringify(current);
    if (text && text !== parts.at(-1)) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}
