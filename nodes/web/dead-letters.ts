// Dead letters over the public API: groups, lists and one letter with all that is known of it; edit, send again, discard.
// Changing needs the role operator, and a name for the audit; a dry run says what would be done and does nothing.
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { detailText } from '../../contracts/event.ts';
import {
  actionAnswerSchema,
  deadLetterActionsSchema,
  deadLetterDetailSchema,
  deadLetterGroupsSchema,
  deadLetterListSchema,
  deadLetterStates,
  discardRequestSchema,
  editAnswerSchema,
  editRequestSchema,
  retryRequestSchema,
  type ActionAnswer,
  type DeadLetterDetail,
  type DeadLetterSelection,
  type EditAnswer,
} from '../../contracts/dead-letter.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import { describeIssues } from '../../runtime/issues.ts';
import { judgeBody } from '../dead-letters/judge-body.ts';
import type { DeadLetterStore, StoredDeadLetter } from '../dead-letters/store.ts';
import type { Leadership } from '../leadership.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

const actionsShown = 100;
/** How many letters one statement settles; an action takes as many statements as it needs. */
const lettersPerStep = 2_000;
const editBytesMax = 4 * 1024 * 1024; // A body of half a megabyte, each of whose characters is escaped.

const listQuery = z.object({
  state: z.enum(deadLetterStates).optional(),
  group: z.string().max(40).optional(),
  queue: z.string().max(100).optional(),
  code: z.string().max(100).optional(),
  source: z.string().max(100).optional(),
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
const letterParameter = z.object({ id: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER) });

export const deadLetterOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.deadLetters,
    summary: 'Dead letters, oldest first, page by page; nothing is consumed',
    query: listQuery,
    answer: deadLetterListSchema,
  },
  {
    method: 'get',
    path: publicRoutes.deadLetterGroups,
    summary: 'Those that wait for a decision, by queue, source, code and kind of reason',
    answer: deadLetterGroupsSchema,
  },
  {
    method: 'get',
    path: publicRoutes.deadLetterActions,
    summary: 'The last things done with dead letters: who, when, what',
    role: 'editor',
    answer: deadLetterActionsSchema,
  },
  {
    method: 'get',
    path: publicRoutes.deadLetter('{id}'),
    summary: 'One dead letter with body, headers, trace, problems of its body, and what was done with it',
    role: 'editor',
    answer: deadLetterDetailSchema,
  },
  {
    method: 'put',
    path: publicRoutes.deadLetterBody('{id}'),
    summary: 'Correct the body of a dead letter that waits; one that breaks its contract is refused',
    role: 'operator',
    body: editRequestSchema,
    answer: editAnswerSchema,
  },
  {
    method: 'post',
    path: publicRoutes.retryDeadLetters,
    summary: 'Send dead letters again, each by the route it came; the leader does it in the background',
    role: 'operator',
    body: retryRequestSchema,
    answer: actionAnswerSchema,
  },
  {
    method: 'post',
    path: publicRoutes.discardDeadLetters,
    summary: 'Discard dead letters, with a reason; by its id also one that is still to be sent again',
    role: 'operator',
    body: discardRequestSchema,
    answer: actionAnswerSchema,
  },
];

export function addDeadLetters(
  app: FastifyInstance,
  { store, leadership, guard }: { store: DeadLetterStore; leadership: Leadership; guard: Guard },
): void {
  app.get(publicRoutes.deadLetters, async (request) => {
    const { after, limit, ...filter } = parse(listQuery, request.query);
    const letters = await store.deadLetters(filter, { after, limit: limit + 1 });
    const page = letters.slice(0, limit);
    return { letters: page, next: letters.length > limit ? (page.at(-1)?.id ?? null) : null };
  });
  app.get(publicRoutes.deadLetterGroups, async () => ({
    groups: await store.deadLetterGroups({ all: true }),
  }));
  app.get(publicRoutes.deadLetterActions, async (request) => {
    await guard.require(request, 'editor'); // It names persons.
    return { actions: await store.deadLetterActions(actionsShown) };
  });
  app.get(publicRoutes.deadLetter(':id'), async (request): Promise<DeadLetterDetail> => {
    await guard.require(request, 'editor'); // A body may hold whatever somebody published.
    const { id } = parse(letterParameter, request.params);
    const found = await store.deadLetter(id);
    if (!found) throw new Failure('NOT_FOUND', `no dead letter ${id}`);
    return {
      ...asText(found.letter),
      problems: judgeBody(found.letter.queue, found.letter.body),
      actions: found.actions,
    };
  });

  app.put(
    publicRoutes.deadLetterBody(':id'),
    { bodyLimit: editBytesMax },
    async (request): Promise<EditAnswer> => {
      await guard.require(request, 'operator');
      const { id } = parse(letterParameter, request.params);
      const { body: text, by, dryRun } = parse(editRequestSchema, request.body);
      const body = Buffer.from(text);
      return leadership.write('edit of a dead letter', async (term) => {
        const found = await store.deadLetter(id);
        if (!found) throw new Failure('NOT_FOUND', `no dead letter ${id}`);
        const { queue, state } = found.letter;
        if (state !== 'waiting') throw new Failure('LETTER_SETTLED', `dead letter ${id} is ${state}`);
        const problems = judgeBody(queue, body);
        if (dryRun) return { edited: false, problems };
        if (problems.length > 0)
          throw new Failure(
            'REQUEST_MALFORMED',
            detailText(`${queue} would not take it: ${describeIssues(problems)}`),
            { details: { issues: problems.slice(0, 20) } },
          );
        if (!(await store.editDeadLetter(term, { action: randomUUID(), by, id, body })))
          throw new Failure('LETTER_SETTLED', `dead letter ${id} was settled meanwhile`);
        return { edited: true, problems };
      });
    },
  );
  app.post(publicRoutes.retryDeadLetters, async (request) => {
    await guard.require(request, 'operator');
    return settle('retry', { ...parse(retryRequestSchema, request.body), reason: null });
  });
  app.post(publicRoutes.discardDeadLetters, async (request) => {
    await guard.require(request, 'operator');
    return settle('discard', parse(discardRequestSchema, request.body));
  });

  /** Those that wait now; to discard, also those with the ids that are being sent again. Cut off in the middle, the rest still waits: asked again, it goes on. */
  async function settle(
    kind: 'retry' | 'discard',
    {
      select,
      by,
      reason,
      dryRun,
    }: { select: DeadLetterSelection; by: string; reason: string | null; dryRun: boolean },
  ): Promise<ActionAnswer> {
    return leadership.write(`${kind} of dead letters`, async (term) => {
      const upTo = await store.lastDeadLetter();
      const groups = await store.deadLetterGroups(select, kind);
      const chosen = groups.reduce((sum, { letters }) => sum + letters, 0);
      if (dryRun || chosen === 0) return { action: null, letters: chosen, groups };
      const action = randomUUID();
      const step = { action, kind, by, reason, select, upTo, lettersMax: lettersPerStep };
      let letters = 0;
      for (let settled = lettersPerStep; settled === lettersPerStep; letters += settled)
        settled = await store.settleDeadLetters(term, step);
      return { action, letters, groups };
    });
  }
}

function asText({ body, bodyBefore, ...letter }: StoredDeadLetter) {
  const encoding = [body, bodyBefore].every((bytes) => bytes === null || isUtf8(bytes)) ? 'utf8' : 'base64';
  return {
    ...letter,
    encoding,
    body: body.toString(encoding),
    bodyBefore: bodyBefore?.toString(encoding) ?? null,
  } as const;
}
