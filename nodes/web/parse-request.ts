// Whatever comes from outside passes its schema once, here.
import { z } from 'zod';
import { sourceNameSchema } from '../../contracts/ids.ts';
import { skuLengthMax } from '../../contracts/item.ts';
import { Failure } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';

/** What names a thing in a path. */
export const uuidParameter = z.object({ id: z.uuid() });
export const itemKeySchema = z.object({ source: sourceNameSchema, sku: z.string().max(skuLengthMax) });

/** @throws Failure REQUEST_MALFORMED that names every wrong field. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = issuesOf(result.error);
  throw new Failure('REQUEST_MALFORMED', describeIssues(issues), { details: { issues } });
}
