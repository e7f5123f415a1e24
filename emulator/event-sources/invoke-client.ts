// Calls functions over Lambda's Invoke API, wherever AWS_ENDPOINT_URL_LAMBDA points: the Lambda host of the laptop,
// LocalStack or MiniStack. Requests carry no signature, which these do not ask for; AWS itself would refuse them,
// and needs none of this: there Lambda's own mappings do the work.
import { Agent, request } from 'undici';
import { z } from 'zod';
import { describeError } from '../../runtime/failure.ts';
import { readBounded } from '../../runtime/read-bounded.ts';

export type InvokeOutcome =
  | { readonly kind: 'answered'; readonly payload: unknown }
  /** The function ran and failed, or was ended. */
  | { readonly kind: 'function-error'; readonly reason: string }
  /** It is not known to have run: throttled, no such function, nobody listens, no answer in time. */
  | { readonly kind: 'unavailable'; readonly reason: string };

export interface InvokeClient {
  /** Waits for the function's end; never throws. `json` is the payload as text. */
  invoke(
    functionName: string,
    json: string,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<InvokeOutcome>;
  /** Hands the event over; never throws. */
  sendEvent(functionName: string, json: string): Promise<InvokeOutcome>;
  close(): Promise<void>;
}

const answerBytesMax = 7 * 1024 * 1024;
const sendTimeoutMs = 10_000;
const errorSchema = z.object({ errorType: z.string().optional(), errorMessage: z.string().optional() });

export function createInvokeClient(endpoint: string): InvokeClient {
  const agent = new Agent({ connect: { timeout: 2_000 }, connections: 32, keepAliveTimeout: 30_000 });

  async function send(
    functionName: string,
    json: string,
    { type, timeoutMs, signal }: { type: string; timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<InvokeOutcome> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await request(
        new URL(`/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`, endpoint),
        {
          dispatcher: agent,
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-amz-invocation-type': type },
          body: json,
          signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
        },
      );
      const text = (
        await readBounded(answer.body, { bytesMax: answerBytesMax, what: 'the answer' })
      ).toString('utf8');
      if (answer.statusCode >= 300)
        return { kind: 'unavailable', reason: `HTTP ${answer.statusCode}: ${text.slice(0, 300)}` };
      const payload: unknown = text === '' ? null : JSON.parse(text);
      if (answer.headers['x-amz-function-error'] === undefined) return { kind: 'answered', payload };
      const error = errorSchema.safeParse(payload).data;
      return {
        kind: 'function-error',
        reason: `${error?.errorType ?? 'Unhandled'}: ${(error?.errorMessage ?? text).slice(0, 500)}`,
      };
    } catch (error) {
      return { kind: 'unavailable', reason: `${endpoint}: ${describeError(error)}` };
    }
  }

  return {
    invoke: (functionName, json, options) =>
      send(functionName, json, { type: 'RequestResponse', ...options }),
    sendEvent: (functionName, json) => send(functionName, json, { type: 'Event', timeoutMs: sendTimeoutMs }),
    close: () => agent.destroy(),
  };
}
