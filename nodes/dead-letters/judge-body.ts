// What the contract of a queue finds wrong with a body: for whoever looks at a dead letter, and before an edit is stored.
// Never says whether it would be applied: that is for the leader when it comes again.
import type { z } from 'zod';
import type { Issue } from '../../contracts/issue.ts';
import { fileCommandSchema, fileCommandType } from '../../contracts/file-command.ts';
import { itemPageSchema, itemPageType, misplaced } from '../../contracts/item-page.ts';
import { itemSchema } from '../../contracts/item.ts';
import { mailMessageSchema, mailMessageType } from '../../contracts/mail-message.ts';
import { queues } from '../../contracts/topology.ts';
import { issuesOf } from '../../runtime/issues.ts';

const problemsMax = 50;
/** Of the messages that a queue is there for. */
export const contracts: Readonly<Record<string, { schema: z.ZodType; type: string }>> = {
  [queues.items.name]: { schema: itemPageSchema, type: itemPageType },
  [queues.files.name]: { schema: fileCommandSchema, type: fileCommandType },
  [queues.mail.name]: { schema: mailMessageSchema, type: mailMessageType },
};

export function judgeBody(queue: string, body: Buffer): Issue[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    return [{ path: '', message: `not JSON: ${(error as Error).message.slice(0, 200)}` }];
  }
  const envelope = problemsOf(contracts[queue]?.schema, json, []);
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
