// Work of a custom resource, which CloudFormation asks for and people and schedules may ask for too. CloudFormation waits
// minutes for an answer, so one is always given, before the function's own time ends. Used by functions that exist on AWS alone.
import * as z from 'zod';
import { describeError } from '../../runtime/failure.ts';
import { within } from '../../runtime/waiting.ts';

const cloudFormationEventSchema = z.object({
  RequestType: z.enum(['Create', 'Update', 'Delete']),
  ResponseURL: z.url({ protocol: /^https?$/ }),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string().optional(),
});
type CloudFormationEvent = z.infer<typeof cloudFormationEventSchema>;

const answerWithinMs = 10_000;
const reasonLengthMax = 1_000; // The answer may have 4 KB.
const marginMs = 15_000; // Of the function's time: for the answer.

/**
 * Does the work, whoever calls: CloudFormation is told how it went; anybody else gets what it throws.
 * @throws Error when CloudFormation's request cannot be parsed (it is then not treated as a call by hand).
 */
export async function doForWhoeverCalls(
  event: unknown,
  context: { getRemainingTimeInMillis(): number },
  work: () => Promise<void>,
): Promise<void> {
  const wantsAnswer = typeof event === 'object' && event !== null && 'ResponseURL' in event;
  if (!wantsAnswer) return await work();
  await answerCloudFormation(cloudFormationEventSchema.parse(event), work, {
    withinMs: context.getRemainingTimeInMillis() - marginMs,
  });
}

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
    if (event.RequestType !== 'Delete') await within(withinMs, 'what it configures', work);
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
