// Lets the page break the system it shows: passes a command of the fault grammar on to the launcher of a laptop, which
// knows its processes and links. Understands nothing of it, and is never there where no launcher is.
import type { FastifyInstance } from 'fastify';
import {
  faultCommandSchema,
  faultDoneSchema,
  faultListSchema,
  launcherChaosPath,
  type FaultDone,
} from '../../contracts/faults.ts';
import { faultsViewSchema, type FaultsView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import type { Guard } from './guard.ts';
import { askLauncher, type Launcher } from './launcher.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

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
  app.get(publicRoutes.faults, async (request): Promise<FaultsView> => {
    const mayBreak = (await guard.sessionRole(request)) === 'operator';
    if (!launcher) return { possible: false, mayBreak, inForce: [] };
    const answer = await askLauncher(launcher, { method: 'GET', path: launcherChaosPath });
    return { possible: true, mayBreak, inForce: faultListSchema.parse(answer).faults };
  });
  app.post(publicRoutes.faults, async (request): Promise<FaultDone> => {
    await guard.require(request, 'operator');
    const command = parse(faultCommandSchema, request.body);
    if (!launcher) throw new Failure('NOT_FOUND', 'nothing can be broken here: no launcher runs this node');
    const body = JSON.stringify(command);
    return faultDoneSchema.parse(
      await askLauncher(launcher, { method: 'POST', path: launcherChaosPath, body }),
    );
  });
}
