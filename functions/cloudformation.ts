// Answers CloudFormation for a custom resource: work done, or why not. CloudFormation waits an hour for an answer, so
// one is always given, before the function's own time ends. Used by functions that exist on AWS alone.
import * as z from 'zod';
import { describeError } from '../runtime/failure.ts';

export const cloudFormationEventSchema = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  ResponseURL: z.url({ protocol: /^https?$/ }),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string().optional(),
});
export type CloudFormationEvent = z.infer<typeof cloudFormationEventSchema>;

const answerWithinMs = 10_000;
const reasonLengthMax = 1_000; // The answer may have 4 KB.

/**
 * Runs `work` on creation and update; what a deleted resource leaves behind belongs to other resources.
 * @throws Error when CloudFormation does not take the answer.
 */
export async function answerCloudFormation(
  event: CloudFormationEvent,
  work: () => Promise<void>,
  { withinMs }: { withinMs: number },
): Promise<void> {
  let failure: string | undefined;
  try {
    if (event.RequestType !== 'Delete') await within(withinMs, work());
  } catch (error) {
    failure = describeError(error);
  }
  const response = await fetch(event.ResponseURL, {
    method: 'PUT',
    // The signature of the URL covers an empty content type.
    headers: { 'content-type': '' },
    body: JSON.stringify({
      Status: failure === undefined ? 'SUCCESS' : 'FAILED',
      ...(failure === undefined ? {} : { Reason: failure.slice(0, reasonLengthMax) }),
      PhysicalResourceId: event.PhysicalResourceId ?? event.LogicalResourceId,
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
    }),
    signal: AbortSignal.timeout(answerWithinMs),
  });
  if (!response.ok) throw new Error(`CloudFormation refused the answer: ${response.status}`);
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms} ms`)), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
