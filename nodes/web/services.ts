// The processes that the launcher of a laptop runs, for the page: which of them is up.
import type { FastifyInstance } from 'fastify';
import { launcherServicesPath } from '../../contracts/faults.ts';
import { servicesViewSchema, type ServicesView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { askLauncher, type Launcher } from './launcher.ts';
import type { Operation } from './openapi.ts';

export const serviceOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.services,
    summary: 'What the launcher of this node runs, and how it stands; none where there is no launcher',
    answer: servicesViewSchema,
  },
];

export function addServices(app: FastifyInstance, { launcher }: { launcher: Launcher | undefined }): void {
  app.get(publicRoutes.services, async (): Promise<ServicesView> => {
    if (!launcher) return { services: [] };
    return servicesViewSchema.parse(
      await askLauncher(launcher, { method: 'GET', path: launcherServicesPath }),
    );
  });
}
