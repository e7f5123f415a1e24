// The numbers of Lambda that the host keeps, and its own bounds.
// Source of the first part: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

export const requestBytesMax = 6 * 1024 * 1024;
/** An answer may be a little larger than a request. */
export const responseBytesMax = 6 * 1024 * 1024 + 100;
export const eventBytesMax = 1024 * 1024;
export const initMsMax = 10_000;
export const logTailBytes = 4 * 1024;
export const unzippedBytesMax = 250 * 1024 * 1024;
/** How long before a failed asynchronous invocation is tried again, twice. */
export const eventRetryDelaysMs: readonly number[] = [60_000, 120_000];

/** Environments of one function at a time: two cores run no more in a useful way. */
export const environmentsMax = 4;
/** Invocations of one function that wait for an environment; the next one is throttled. */
export const waitingMax = 16;
/** How long one of them waits before it is throttled after all. */
export const waitMsMax = 30_000;
/** Asynchronous invocations that wait, run or are between two tries, over all functions. */
export const eventsMax = 1_000;
export const idleMs = 5 * 60_000;
/** How long a running invocation may go on when the host closes. */
export const closeGraceMs = 1_500;
