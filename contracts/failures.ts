// Every way in which a request, message or file can fail: one table gives the HTTP answer, the verdict
// on a queued message and docs/failures.md, and a test keeps the three in step.
// Never throws by itself: runtime/failure.ts holds the Error that carries a code.
import type { Problem } from './node-api.ts';

/**
 * `definite`: it certainly did not happen. In doubt it is indefinite, and a retry carries the same
 * idempotency key. `next` is what the caller does about it.
 */
export interface FailureRule {
  readonly httpStatus: number;
  readonly definite: boolean;
  readonly next: 'find-leader' | 'retry-same-key' | 'dead-letter' | 'reject-file' | 'fix-request' | 'stop';
  readonly means: string;
}

export const failures = {
  NOT_LEADER: {
    httpStatus: 421,
    definite: true,
    next: 'find-leader',
    means: 'This node does not lead; the answer names the leader it knows.',
  },
  NO_LEADER: {
    httpStatus: 503,
    definite: true,
    next: 'retry-same-key',
    means: 'Nobody leads at the moment; try again after Retry-After.',
  },
  STALE_TERM: {
    httpStatus: 409,
    definite: true,
    next: 'find-leader',
    means: 'The fence in the database belongs to a newer term; nothing was written.',
  },
  BUSY: {
    httpStatus: 429,
    definite: true,
    next: 'retry-same-key',
    means:
      'The node has all it takes of batches, database reads or live readers; try again after Retry-After.',
  },
  DATABASE_UNAVAILABLE: {
    httpStatus: 503,
    definite: true,
    next: 'retry-same-key',
    means: 'The database cannot be reached; nothing was written.',
  },
  DATABASE_TIMEOUT: {
    httpStatus: 503,
    definite: false,
    next: 'retry-same-key',
    means: 'The database did not answer in time; it may have been written.',
  },
  BROKER_UNAVAILABLE: {
    httpStatus: 503,
    definite: false,
    next: 'retry-same-key',
    means: 'RabbitMQ did not confirm in time; it may have taken the message.',
  },
  UNROUTABLE: {
    httpStatus: 500,
    definite: true,
    next: 'stop',
    means: 'No queue takes a message of this routing key: the topology of the broker is not ours.',
  },
  ITEM_MALFORMED: {
    httpStatus: 422,
    definite: true,
    next: 'dead-letter',
    means: 'An item breaks its schema; the reason names the field.',
  },
  VERSION_REUSED: {
    httpStatus: 422,
    definite: true,
    next: 'dead-letter',
    means: 'The same version of an item came with other content.',
  },
  MESSAGE_MALFORMED: {
    httpStatus: 400,
    definite: true,
    next: 'dead-letter',
    means: 'A message is not JSON, or breaks its schema.',
  },
  MESSAGE_TOO_LARGE: {
    httpStatus: 413,
    definite: true,
    next: 'dead-letter',
    means: 'A message is larger than its cap.',
  },
  VERSION_UNSUPPORTED: {
    httpStatus: 400,
    definite: true,
    next: 'dead-letter',
    means: 'A message has a newer version than this release reads.',
  },
  SOURCE_UNKNOWN: {
    httpStatus: 422,
    definite: true,
    next: 'reject-file',
    means: 'No source of that name is configured.',
  },
  FILE_MALFORMED: {
    httpStatus: 422,
    definite: true,
    next: 'reject-file',
    means: 'A file cannot be read as its format, or too many of its rows are bad.',
  },
  FILE_TOO_LARGE: {
    httpStatus: 413,
    definite: true,
    next: 'reject-file',
    means: 'A file, or what it unpacks to, is larger than its cap.',
  },
  FILE_TRUNCATED: {
    httpStatus: 400,
    definite: true,
    next: 'retry-same-key',
    means: 'Fewer bytes arrived than were announced, or their sha256 differs.',
  },
  LEASE_HELD: {
    httpStatus: 409,
    definite: true,
    next: 'retry-same-key',
    means: 'Another worker holds the lease.',
  },
  LEASE_LOST: {
    httpStatus: 409,
    definite: true,
    next: 'stop',
    means: 'The lease ended, or was given to another worker.',
  },
  REQUEST_MALFORMED: {
    httpStatus: 400,
    definite: true,
    next: 'fix-request',
    means: 'A request breaks its schema; the answer names the fields.',
  },
  API_VERSION_UNSUPPORTED: {
    httpStatus: 400,
    definite: true,
    next: 'fix-request',
    means: 'A request has a version of the internal API that this node does not read.',
  },
  BODY_TOO_LARGE: {
    httpStatus: 413,
    definite: true,
    next: 'fix-request',
    means: 'A request body is larger than the limit of its route.',
  },
  UNAUTHENTICATED: {
    httpStatus: 401,
    definite: true,
    next: 'fix-request',
    means: 'The request needs a token, or a client certificate of the cluster.',
  },
  FORBIDDEN: {
    httpStatus: 403,
    definite: true,
    next: 'fix-request',
    means: 'The caller may not do this, or the Host or Origin is not one of ours.',
  },
  LETTER_SETTLED: {
    httpStatus: 409,
    definite: true,
    next: 'fix-request',
    means: 'The dead letter was sent again or discarded already.',
  },
  NOT_FOUND: { httpStatus: 404, definite: true, next: 'fix-request', means: 'There is no such thing.' },
  INTERNAL: {
    httpStatus: 500,
    definite: false,
    next: 'retry-same-key',
    means: 'Something broke that should not; the log has the cause.',
  },
} as const satisfies Record<string, FailureRule>;

export type FailureCode = keyof typeof failures;

/** What whoever finds no leader is asked to wait: an election is over by then. */
export const noLeaderRetryMs = 500;

/** RFC 9457: the content type of every error answer. */
export const problemMediaType = 'application/problem+json';

/** The body of every error answer, of nodes and functions alike. */
export function problem(
  code: FailureCode,
  extra: Pick<Problem, 'detail' | 'leader' | 'retryAfterMs' | 'issues'> = {},
): Problem {
  const { httpStatus, means } = failures[code];
  return {
    type: `https://baton.invalid/failures#${code}`,
    title: means,
    status: httpStatus,
    code,
    ...extra,
  };
}
