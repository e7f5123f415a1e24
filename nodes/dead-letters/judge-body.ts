// What the contract of a queue finds wrong with a body: for whoever looks at a dead letter, and before an edit is stored.
// Never says whether it would be applied: that is for the leader when it comes again.
import type { z } from 'zod';
import type { Issue } from '../../contracts/issue.ts';
import { fileCommandSchema } from '../../contracts/file-command.ts';
import { itemPageSchema, misplaced } from '../../contracts/item-page.ts';
import { itemSchema } from '../../contracts/item.ts';
import { mailMessageSchema } from '../../contracts/mail-message.ts';
import { queues } from '../../contracts/topology.ts';
import { issuesOf } from '../../runtime/issues.ts';

const problemsMax = 50;
const schemas: Readonly<Record<string, z.ZodType>> = {
  [queues.items.name]: itemPageSchema,
  [queues.files.name]: fileCommandSchema,
  [queues.mail.name]: mailMessageSchema,
};

export function judgeBody(queue: string, body: Buffer): Issue[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    return [{ path: '', message: `not JSON: ${(error as Error).message.slice(0, 200)}` }];
  }
  const envelope = problemsOf(schemas[queue], json, []);
  if (envelope.length > 0 || queue !== queues.items.name) return envelope;
  const page = itemPageSchema.parse(json);
  return page.items
    .flatMap((item, index) => {
      const parsed = itemSchema.safeParse(item);
      const objection = parsed.success ? misplaced(parsed.data, page) : undefined;
      return objection
        ? [{ ...objection, path: `items.${index}.${objection.path}` }]
        : problemsOf(itemSchema, item, ['items', index]);
    })
    .slice(0, problemsMax);
}

function problemsOf(schema: z.ZodType | undefined, value: unknown, at: readonly PropertyKey[]): Issue[] {
  const error = schema?.safeParse(value).error;
  return error ? issuesOf(error, at) : [];
}
