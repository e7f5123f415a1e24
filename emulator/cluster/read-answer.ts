// An answer of a node, as its contract has it; one of another release may say something else, which is told in words.
import type { z } from 'zod';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';

/** @throws Error that names the address and the fields. */
export function readAnswer<T>(schema: z.ZodType<T>, json: unknown, url: string): T {
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  throw new Error(
    `${url} answers what this release does not understand (${describeIssues(issuesOf(error))}): is it of another release?`,
  );
}
