// A request to the leader of a running system, for its launcher and for tests: asks again while leadership moves.
import { Failure } from '../runtime/failure.ts';
import { pause } from '../runtime/waiting.ts';
import { askNode, type NodeCall } from './ask-node.ts';
import type { Stack } from './stack.ts';
import { endsOfNodes, type SystemStatus } from './status.ts';

const answerWithinMs = 3_000;
const takenWithinMs = 10_000;
const againMs = 100;

export interface LeaderPlace {
  readonly stack: Pick<Stack, 'credentials'>;
  status(): Promise<SystemStatus>;
}

/** With the token of a role. @throws Error with the leader's reason: at once when it refuses. */
export async function callLeader(
  system: LeaderPlace,
  { role, ...call }: NodeCall & { readonly role: 'editor' | 'operator' },
): Promise<unknown> {
  const token = system.stack.credentials.tokens[role];
  const deadline = performance.now() + takenWithinMs;
  for (;;) {
    try {
      const { leader, nodes, services } = await system.status();
      const url = nodes.find(({ id }) => id === leader)?.url;
      if (url === undefined) throw new Error(`nobody leads${endsOfNodes(services)}`);
      return await askNode(url, call, { token, withinMs: answerWithinMs });
    } catch (error) {
      if (error instanceof Failure && isFinal(error)) throw error;
      if (performance.now() > deadline)
        throw new Error(`the leader does not take ${call.path}`, { cause: error });
      await pause(againMs);
    }
  }
}

/** Asking again would not help: it is neither that another one leads by now nor that the database is away. */
function isFinal({ rule }: Failure): boolean {
  return rule.httpStatus < 500 && rule.next !== 'find-leader' && rule.next !== 'retry-same-key';
}
