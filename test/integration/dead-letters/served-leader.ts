// A leader for tests of dead letters: the real public listener and the real jobs over a real database and a real broker.
// Only the election is ordered by the test.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { expect, vi } from 'vitest';
import { createNode } from '../../../nodes/node.ts';
import type { BrokerClient } from '../../../runtime/rabbitmq.ts';
import type { Store } from '../../../nodes/store.ts';
import type { SpanSender } from '../../../nodes/tracing/trace-export.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { loneNode, memberAt, simulatedRaft } from '../node/simulated-edges.ts';

export const tokens = {
  reader: 'reader-token-of-the-test',
  editor: 'editor-token-of-the-test',
  operator: 'operator-token-of-the-test',
};

export interface ServedLeader {
  readonly internalUrl: string;
  /** What its internal listener takes a caller by. */
  readonly tls: TestCertificates;
  /** What the node reported, as `code: detail`. */
  readonly problems: readonly string[];
  readonly ask: (
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    options?: { json?: unknown; role?: keyof typeof tokens | 'nobody' },
  ) => Promise<{ status: number; json: unknown }>;
  close(): Promise<void>;
}

/** Leads term `term` when it resolves. */
export async function serveLeader(options: {
  store: Store;
  broker: BrokerClient;
  term: number;
  /** Where it is to listen, and what it tells of itself. */
  publicUrl?: string;
  collector?: SpanSender;
}): Promise<ServedLeader> {
  const { publicUrl = 'http://127.0.0.1:1' } = options;
  const { raft, become } = simulatedRaft();
  const problems: string[] = [];
  const logger = createLogger({ process: 'node-1', write: () => undefined });
  logger.onEvent((event) => {
    if (event.type === 'problem') problems.push(`${event.code}: ${event.detail}`);
  });
  const tls = await makeCertificates(await mkdtemp(join(tmpdir(), 'baton-leader-')));
  const node = await createNode(
    loneNode({
      members: [memberAt(publicUrl)],
      publicPort: options.publicUrl === undefined ? 0 : Number(new URL(publicUrl).port),
    }),
    {
      raft,
      store: options.store,
      broker: options.broker,
      collector: options.collector,
      tls,
      page: undefined,
      sendAnnouncement: async () => undefined,
      tokens: async () => tokens,
      logger,
    },
  );
  become({ kind: 'leader' }, options.term);
  await vi.waitUntil(() => node.leadership.state.kind === 'leading', { timeout: 10_000 });
  return {
    internalUrl: node.internalUrl,
    tls,
    problems,
    ask: async (method, path, { json, role = 'operator' } = {}) => {
      const { statusCode, body } = await request(node.publicUrl + path, {
        method,
        headers: {
          ...(role === 'nobody' ? {} : { authorization: `Bearer ${tokens[role]}` }),
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: json === undefined ? null : JSON.stringify(json),
        signal: AbortSignal.timeout(20_000),
      });
      return { status: statusCode, json: await body.json() };
    },
    close: () => node.close('the test ends'),
  };
}

/** @throws with the whole answer when it is a problem. */
export async function asked<T>(answer: Promise<{ status: number; json: unknown }>): Promise<T> {
  const { status, json } = await answer;
  expect(status, JSON.stringify(json)).toBe(200);
  return json as T;
}
