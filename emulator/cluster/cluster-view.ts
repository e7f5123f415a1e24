// The cluster as one node sees it: GET /cluster of its public listener, which needs no token.
import { request } from 'undici';
import { z } from 'zod';

const clusterViewSchema = z.object({
  nodeId: z.string(),
  role: z.object({ kind: z.enum(['leader', 'candidate', 'follower', 'learner']) }),
  term: z.int(),
  state: z.object({ kind: z.string() }),
  abstaining: z.boolean(),
  leader: z.object({ nodeId: z.string(), publicUrl: z.url() }).nullable(),
  generation: z.int(),
  members: z.array(
    z.object({
      id: z.string(),
      udp: z.string(),
      internalUrl: z.string(),
      publicUrl: z.url(),
      voter: z.boolean(),
      lastContactMs: z.number().nullable(),
    }),
  ),
});
export type SeenCluster = z.infer<typeof clusterViewSchema>;

/** @throws Error when it does not answer in time, or answers something else. */
export async function readCluster(
  publicUrl: string,
  { withinMs }: { withinMs: number },
): Promise<SeenCluster> {
  const url = new URL('/cluster', publicUrl);
  const { statusCode, body } = await request(url, { signal: AbortSignal.timeout(withinMs) });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`${url.href} answers ${statusCode}`);
  return clusterViewSchema.parse(JSON.parse(text));
}
