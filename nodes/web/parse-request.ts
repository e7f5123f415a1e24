// Whatever comes from outside passes its schema once, here.
import type { z } from 'zod';
import { Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';

/** @throws Failure REQUEST_MALFORMED that names every wrong field. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = issuesOf(result.error);
  throw new Failure('REQUEST_MALFORMED', describeIssues(issues), { details: { issues } });
}
