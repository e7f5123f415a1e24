// What a schema found wrong, in words for whoever sent it: which field, and what it lacks.
import type { z } from 'zod';
import type { Issue } from '../contracts/issue.ts';

/** The first fifty. `at`: where the judged value itself lies. */
export function issuesOf({ issues }: z.ZodError, at: readonly PropertyKey[] = []): Issue[] {
  return issues.slice(0, 50).map(({ path, message }) => ({
    path: [...at, ...path].map(String).join('.'),
    message: inWords(message),
  }));
}

/** "price: expected number, received string; sku: missing", the first ten. */
export function describeIssues(issues: readonly Issue[]): string {
  return issues
    .slice(0, 10)
    .map(({ path, message }) => `${path || '(whole)'}: ${message}`)
    .join('; ');
}

/** Zod's words are for programmers: nobody who fills in a table knows what is undefined. */
function inWords(message: string): string {
  return message.startsWith('Invalid input: ') && message.endsWith('received undefined')
    ? 'missing'
    : message.replace(/^Invalid input: /, '');
}
