// Lets the page break the system it shows: passes a command of the fault grammar on to the launcher of a laptop, which
// knows its processes and links. Understands nothing of it, and is never there where no launcher is.
import type { FastifyInstance } from 'fastify';
import { request as send } from 'undici';
import {
  faultCommandSchema,
  faultDoneSchema,
  faultListSchema,
  launcherChaosPath,
  launcherRefusalSchema,
  type FaultDone,
} from '../../contracts/faults.ts';
import { faultsViewSchema, type FaultsView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
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

export const faultOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.faults,
    summary: 'Which faults are in force, and whether anything can be broken from here',
    answer: faultsViewSchema,
  },
  {
    method: 'post',
    path: publicRoutes.faults,
    summary: 'Break something, or heal it: a command of `baton chaos`',
    role: 'operator',
    body: faultCommandSchema,
    answer: faultDoneSchema,
  },
];

export function addFaults(
  app: FastifyInstance,
  { guard, launcher }: { guard: Guard; launcher: Launcher | undefined },
): void {
  app.get(publicRoutes.faults, async (): Promise<FaultsView> => {
    if (!launcher) return { possible: false, inForce: [] };
    const { faults } = faultListSchema.parse(await ask(launcher, { method: 'GET' }));
    return { possible: true, inForce: faults };
  });
  app.post(publicRoutes.faults, async (request): Promise<FaultDone> => {
    await guard.require(request, 'operator');
    const command = parse(faultCommandSchema, request.body);
    if (!launcher) throw new Failure('NOT_FOUND', 'nothing can be broken here: no launcher runs this node');
    return faultDoneSchema.parse(await ask(launcher, { method: 'POST', body: JSON.stringify(command) }));
  });
}

async function ask(
  launcher: Launcher,
  call: { readonly method: 'GET' | 'POST'; readonly body?: string },
): Promise<unknown> {
  const { statusCode, body } = await send(launcher.url + launcherChaosPath, {
    ...call,
    headers: { authorization: `Bearer ${await launcher.token()}` },
    signal: AbortSignal.timeout(answerWithinMs),
  }).catch((cause: unknown) => {
    throw new Failure('NOT_FOUND', 'nothing can be broken now: the launcher gives no answer', { cause });
  });
  const answer: unknown = await body.json();
  if (statusCode === 200) return answer;
  throw new Failure('REQUEST_MALFORMED', launcherRefusalSchema.parse(answer).error);
}
