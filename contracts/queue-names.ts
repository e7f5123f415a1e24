// What the queues beside a queue are called. Apart from topology.ts, since the page shows them too.

/** Where its messages wait before they are tried again. */
export const retryQueueOf = (queue: string): string => `${queue}.retry`;
/** Where its dead letters lie until the leader takes them. */
export const deadQueueOf = (queue: string): string => `${queue}.dead`;
