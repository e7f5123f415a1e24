// Handing over in words: what is asked of a leader, and what it did.
import type { TransferAnswer } from '../../contracts/public-api.ts';

/** `target`: a node, or `first` in rank. */
export function transferRequest(target: string): { target: string | null } {
  return { target: target === 'first' ? null : target };
}

/** @throws Error when nobody took over. */
export function handedOver(answer: TransferAnswer, target: string): string {
  if (answer.kind === 'failed') throw new Error(`nobody took over: ${answer.reason}`);
  if (answer.leader === null) return 'handed over, and who leads now is not known yet';
  const another = target !== 'first' && answer.leader !== target;
  return `handed over to ${answer.leader}${another ? `: ${target} did not take it` : ''}`;
}
