// A request to whichever node leads, over the public API. Tries once: whoever calls knows how long to go on.
import { request } from 'undici';
import { publicRoutes } from '../../../contracts/public-routes.ts';
import { askNode, type NodeCall } from '../../cluster/ask-node.ts';

const answerWithinMs = 3_000;

/** @returns the answer's JSON. @throws Error when nobody leads, or the leader refuses. */
export async function askLeader(
  nodes: readonly { readonly publicUrl: string }[],
  call: NodeCall,
  token: string,
): Promise<unknown> {
  const leader = await Promise.any(
    nodes.map(async ({ publicUrl }) => {
      const { statusCode, body } = await request(publicUrl + publicRoutes.leader, {
        signal: AbortSignal.timeout(answerWithinMs),
      });
      await body.dump();
      if (statusCode !== 200) throw new Error(`${publicUrl} does not lead`);
      return publicUrl;
    }),
  ).catch((cause: unknown) => {
    throw new Error('nobody leads', { cause });
  });
  return await askNode(leader, call, { token, withinMs: answerWithinMs });
}
