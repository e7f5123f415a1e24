// What a leader answers when it is asked to hand over, for whoever asked it.
import { z } from 'zod';

export const transferAnswerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done') }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
]);

/** `target`: a node, or `first` in rank; what POST /cluster/transfer takes. */
export function transferRequest(target: string): { target: string | null } {
  return { target: target === 'first' ? null : target };
}

/** What was done, in words. @throws Error when nobody took over. */
export function handedOver(answer: z.infer<typeof transferAnswerSchema>, target: string): string {
  if (answer.kind === 'failed') throw new Error(`nobody took over: ${answer.reason}`);
  return `handed over to ${target === 'first' ? 'the first in rank' : target}`;
}
