// Emulators of SQS give queues URLs with hosts such as sqs.<region>.127.0.0.1, which nobody resolves and which are
// no URLs to WHATWG's parser. What counts is the path.

/** The same queue at the endpoint where it was found. */
export function reachableQueueUrl(queueUrl: string, endpoint: string): string {
  const path = /^https?:\/\/[^/]+(\/.+)$/.exec(queueUrl)?.[1];
  if (path === undefined) throw new Error(`${JSON.stringify(queueUrl)} is no URL of an SQS queue`);
  return new URL(path, endpoint).href;
}
