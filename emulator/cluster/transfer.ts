// What a leader answers when it is asked to hand over, for whoever asked it.
import { z } from 'zod';

export const transferAnswerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), leader: z.string().nullable() }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
]);

/** `target`: a node, or `first` in rank; what POST /cluster/transfer takes. */
export function transferRequest(target: string): { target: string | null } {
  return { target: target === 'first' ? null : target };
}

/** What was done, in words. @throws Error when nobody took over. */
export function handedOver(answer: z.infer<typeof transferAnswerSchema>, target: string): string {
  if (answer.kind === 'failed') throw new Error(`nobody took over: ${answer.reason}`);
  if (answer.leader === null) return 'handed over, and who leads now is not known yet';
  const another = target !== 'first' && answer.leader !== target;
  return `handed over to ${answer.leader}${another ? `: ${target} did not take it` : ''}`;
}
