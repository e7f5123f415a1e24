// A request to the leader of a running system, for its launcher and for tests: asks again while leadership moves.
import { Failure } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import type { Stack } from '../stack/stack.ts';
import { askNode, type NodeCall } from './ask-node.ts';
import { endsOfNodes, type SystemStatus } from './status.ts';

const answerWithinMs = 3_000;
const takenWithinMs = 10_000;
const againMs = 100;

export interface LeaderPlace {
  readonly stack: Pick<Stack, 'credentials'>;
  status(): Promise<SystemStatus>;
}

type LeaderCall = NodeCall & { readonly role: 'editor' | 'operator' };

/** With the token of a role. @throws Error with the leader's reason: at once when it refuses. */
export async function callLeader(system: LeaderPlace, call: LeaderCall): Promise<unknown> {
  return (await askLeader(system, call)).answer;
}

/** The same, and who answered: a key of a session is good there alone. */
export async function askLeader(
  system: LeaderPlace,
  { role, ...call }: LeaderCall,
): Promise<{ url: string; answer: unknown }> {
  const token = system.stack.credentials.tokens[role];
  const deadline = performance.now() + takenWithinMs;
  for (;;) {
    try {
      const { leader, nodes, services } = await system.status();
      const url = nodes.find(({ id }) => id === leader)?.url;
      if (url === undefined) throw new Error(`nobody leads${endsOfNodes(services)}`);
      return { url, answer: await askNode(url, call, { token, withinMs: answerWithinMs }) };
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
