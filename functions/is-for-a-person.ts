// What the failure of a call to the leader means for whoever made it. One that is away or busy comes back, and the call is made
// again; one that does not understand us, or that we do not understand, needs a person: the call is a `problem` then, and is made
// again all the same, since a deploy or its end may be what helps.
import * as z from 'zod';
import { Failure } from '../runtime/failure.ts';

export function isForAPerson(error: unknown): boolean {
  const isAnswerOfAnotherKind = error instanceof z.ZodError;
  return isAnswerOfAnotherKind || (error instanceof Failure && error.rule.next === 'fix-request');
}
