// The front of the cluster: sends any request on to the leader's public address, 307, so that method and body stay.
// Never leads anywhere else: path and query are appended to the leader's origin. A leader that waits for its database
// (`waiting`) still answers reads, so it is led to as well.
import * as z from 'zod';
import { problem, problemMediaType } from '../../contracts/failures.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { believable, type DirectoryEntry, type LeaderDirectory } from '../leader-directory.ts';

/** What is read of the event of a load balancer, which has taken the query apart and decoded nothing. */
const fromLoadBalancer = z
  .object({ path: z.string(), queryStringParameters: z.record(z.string(), z.string()).default({}) })
  .transform(({ path, queryStringParameters }) => ({
    rawPath: path,
    rawQueryString: Object.entries(queryStringParameters)
      .map(([name, value]) => `${name}=${value}`)
      .join('&'),
  }));
/** And of that of a function URL (payload format 2.0). */
const fromFunctionUrl = z.object({
  rawPath: z.string().default('/'),
  rawQueryString: z.string().default(''),
});
const eventSchema = z.union([fromLoadBalancer, fromFunctionUrl]);

export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const cacheMs = 500; // The bound on how long a leader that was replaced is still led to.
const retryAfterS = 2; // A leader announces itself that often.

export function createRedirect({
  directory,
  cluster,
  logger,
  now,
}: {
  directory: Pick<LeaderDirectory, 'read'>;
  cluster: string;
  logger: Logger;
  /** Epoch milliseconds. */
  now: () => number;
}): (event: unknown) => Promise<HttpAnswer> {
  let cached: { entry: DirectoryEntry | undefined; until: number } | undefined;

  async function currentEntry(): Promise<DirectoryEntry | undefined> {
    const readAt = now();
    if (!cached || readAt >= cached.until)
      cached = { entry: await directory.read(cluster), until: readAt + cacheMs };
    return believable(cached.entry, now());
  }

  return async (event) => {
    const { rawPath, rawQueryString } = eventSchema.parse(event);
    let entry: DirectoryEntry | undefined;
    try {
      entry = await currentEntry();
    } catch (error) {
      logger.error(`the leader directory cannot be read: ${describeError(error)}`);
      return noLeader('the leader directory cannot be read');
    }
    if (!entry) return noLeader('nobody leads, or the leader has not announced itself for 6 s');
    const location = targetUrl(entry.publicUrl, { rawPath, rawQueryString });
    if (location === undefined) {
      logger.error(`${entry.nodeId} announced ${entry.publicUrl}, which is no http(s) address`);
      return noLeader('the leader announced no usable address');
    }
    return { statusCode: 307, headers: { location, 'cache-control': 'no-store' }, body: '' };
  };
}

/** Undefined when the leader's address is none that a client could be sent to. */
export function targetUrl(
  publicUrl: string,
  { rawPath, rawQueryString }: { rawPath: string; rawQueryString: string },
): string | undefined {
  const { origin, protocol } = new URL(publicUrl);
  if (protocol !== 'http:' && protocol !== 'https:') return undefined;
  // A path begins with a slash, or `@evil.example` would make the origin a user name. The parser then encodes what
  // no Location may hold; `?` and `#` would end the path.
  const path = `/${rawPath.replace(/^\//, '')}`.replaceAll(/[?#]/g, encodeURIComponent);
  const query = rawQueryString === '' ? '' : `?${rawQueryString.replaceAll('#', '%23')}`;
  const target = new URL(`${origin}${path}${query}`);
  return target.origin === origin ? target.href : undefined;
}

function noLeader(detail: string): HttpAnswer {
  const body = problem('NO_LEADER', { detail, retryAfterMs: retryAfterS * 1_000 });
  return {
    statusCode: body.status,
    headers: {
      'content-type': `${problemMediaType}; charset=utf-8`,
      'cache-control': 'no-store',
      'retry-after': String(retryAfterS),
    },
    body: JSON.stringify(body),
  };
}
