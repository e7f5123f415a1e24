// The cluster as one node sees it: GET /cluster of its public listener, which needs no token.
import { request } from 'undici';
import { clusterViewSchema, type ClusterView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';

/** @throws Error when it does not answer in time, or answers something else. */
export async function readCluster(
  publicUrl: string,
  { withinMs }: { withinMs: number },
): Promise<ClusterView> {
  const url = new URL(publicRoutes.cluster, publicUrl);
  const { statusCode, body } = await request(url, { signal: AbortSignal.timeout(withinMs) });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`${url.href} answers ${statusCode}`);
  return clusterViewSchema.parse(JSON.parse(text));
}
