// Lets the page break the system it shows: passes a command of the fault grammar on to the launcher of a laptop, which
// knows its processes and links. Understands nothing of it, and is never there where no launcher is.
import type { FastifyInstance } from 'fastify';
import { request as send } from 'undici';
import { z } from 'zod';
import { Failure } from '../../runtime/failure.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

/** The launcher's control listener. */
export interface Launcher {
  readonly url: string;
  token(): Promise<string>;
}

const answerWithinMs = 5_000;
/** What the launcher answers to `list` then. */
const noneInForce = 'no fault is active';
const commandSchema = z.strictObject({ command: z.string().min(1).max(500) });
const doneSchema = z.object({ done: z.string() });
const viewSchema = z.object({ possible: z.boolean(), inForce: z.array(z.string()) });
const refusalSchema = z.object({ error: z.string() });

export const faultOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/faults',
    summary: 'Which faults are in force, and whether anything can be broken from here',
    answer: viewSchema,
  },
  {
    method: 'post',
    path: '/faults',
    summary: 'Break something, or heal it: a command of `baton chaos`',
    role: 'operator',
    body: commandSchema,
    answer: doneSchema,
  },
];

export function addFaults(
  app: FastifyInstance,
  { guard, launcher }: { guard: Guard; launcher: Launcher | undefined },
): void {
  app.get('/faults', async (): Promise<z.infer<typeof viewSchema>> => {
    if (!launcher) return { possible: false, inForce: [] };
    const { done } = await command('list');
    return { possible: true, inForce: done === noneInForce ? [] : done.split('\n') };
  });
  app.post('/faults', async (request) => {
    await guard.require(request, 'operator');
    return command(parse(commandSchema, request.body).command);
  });

  async function command(text: string): Promise<z.infer<typeof doneSchema>> {
    if (!launcher) throw new Failure('NOT_FOUND', 'nothing can be broken here: no launcher runs this node');
    const { statusCode, body } = await send(`${launcher.url}/chaos`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await launcher.token()}` },
      body: JSON.stringify({ command: text }),
      signal: AbortSignal.timeout(answerWithinMs),
    }).catch((cause: unknown) => {
      throw new Failure('NOT_FOUND', 'nothing can be broken now: the launcher gives no answer', { cause });
    });
    const answer: unknown = await body.json();
    if (statusCode === 200) return doneSchema.parse(answer);
    throw new Failure('REQUEST_MALFORMED', refusalSchema.parse(answer).error);
  }
}
