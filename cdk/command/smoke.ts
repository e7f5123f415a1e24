// What a first user wants to know: does the page answer, does somebody lead, do the nodes hear each other, does the front
// lead there? Reads only, and needs no token.
import { clusterViewSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Outputs } from './outputs.ts';

const answerWithinMs = 10_000;
const askedOfCluster = clusterViewSchema.pick({ nodeId: true, term: true, leader: true });

interface Check {
  readonly name: string;
  /** What was seen. @throws Error saying what is wrong and where to look. */
  run(): Promise<string>;
}

/** @returns the exit code: 0 when all is well. */
export async function smoke({
  publicUrl,
  frontUrl,
}: Pick<Outputs, 'publicUrl' | 'frontUrl'>): Promise<number> {
  const checks: Check[] = [
    {
      name: 'page',
      run: async () => {
        const { status } = await get(publicUrl);
        if (status !== 200)
          throw new Error(`${publicUrl} answers ${status}: no node is healthy behind the load balancer`);
        return publicUrl;
      },
    },
    {
      name: 'leader',
      run: async () => {
        const answer = await get(new URL(publicRoutes.cluster, publicUrl));
        const { leader, term, nodeId } = askedOfCluster.parse(await answer.json());
        if (!leader) throw new Error(`${nodeId} knows no leader: docs/runbook.md, "Nobody leads"`);
        return `${leader.nodeId} leads in term ${term}`;
      },
    },
    {
      name: 'front',
      run: async () => {
        const { status, headers } = await get(frontUrl);
        const to = headers.get('location') ?? '';
        if (status !== 307)
          throw new Error(`it answers ${status} and not 307: no announcement of a leader arrives`);
        if (!new URL(to).host.endsWith(new URL(publicUrl).host))
          throw new Error(`it leads to ${to}, which is none of our nodes`);
        return `leads to ${to}`;
      },
    },
  ];
  let failed = 0;
  for (const check of checks)
    try {
      process.stdout.write(`ok      ${check.name}: ${await check.run()}\n`);
    } catch (error) {
      failed += 1;
      process.stdout.write(`FAILED  ${check.name}: ${reasonOf(error)}\n`);
    }
  return failed === 0 ? 0 : 1;
}

async function get(url: string | URL): Promise<Response> {
  return await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(answerWithinMs) });
}
/** The reason of `fetch failed` is in its cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
