// What the intermediary can say of a message by itself: poison, or a page of items of which each is well-formed or
// not. Pure; whether an item is new is the leader's to say.
import { createHash } from 'node:crypto';
import {
  itemPageBytesMax,
  itemPageSchema,
  itemPageType,
  itemPageVersion,
  misplaced,
  type ItemPage,
} from '../../contracts/item-page.ts';
import { itemSchema, type Item } from '../../contracts/item.ts';
import type { FailureCode } from '../../contracts/failures.ts';
import type { RabbitmqMessage } from '../../contracts/rabbitmq-event.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { readMessage } from '../read-message.ts';

export interface BadItem {
  /** Position in the page. */
  readonly index: number;
  readonly code: FailureCode;
  readonly reason: string;
}
export type JudgedPage =
  | { readonly kind: 'poison'; readonly code: FailureCode; readonly reason: string }
  | {
      readonly kind: 'page';
      readonly page: ItemPage;
      readonly good: readonly { readonly index: number; readonly item: Item }[];
      readonly bad: readonly BadItem[];
    };

const messageIdLengthMax = 80;

export function judgePage(message: RabbitmqMessage): JudgedPage {
  const read = readMessage(message, {
    schema: itemPageSchema,
    type: itemPageType,
    version: itemPageVersion,
    bytesMax: itemPageBytesMax,
  });
  if (read.kind === 'poison') return read;
  const page = read.value;
  const good: { index: number; item: Item }[] = [];
  const bad: BadItem[] = [];
  for (const [index, candidate] of page.items.entries()) {
    const parsed = itemSchema.safeParse(candidate);
    const objection = parsed.success ? misplaced(parsed.data, page) : undefined;
    if (!parsed.success)
      bad.push({ index, code: 'ITEM_MALFORMED', reason: describeIssues(issuesOf(parsed.error)) });
    else if (objection) bad.push({ index, code: 'ITEM_MALFORMED', reason: describeIssues([objection]) });
    else good.push({ index, item: parsed.data });
  }
  return { kind: 'page', page, good, bad };
}

/** The publisher's id, or one made of the content where that is missing or longer than the leader takes. */
export function messageIdOf(message: RabbitmqMessage): string {
  const given = message.basicProperties.messageId;
  return typeof given === 'string' && given.length > 0 && given.length <= messageIdLengthMax
    ? given
    : createHash('sha256').update(message.data).digest('hex');
}
