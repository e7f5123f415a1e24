// What a running system looks like right now, in the fixed form of `baton status --json`. It asks every node at once and
// waits for none longer than its bound, so it answers within a second when half of the system is down.
import { request } from 'undici';
import { z } from 'zod';
import type { Member } from '../contracts/environment.ts';
import type { ServiceView } from './supervisor.ts';

export interface NodeStatus {
  readonly id: string;
  /** `leading`, `waiting`, `following`, `resigned`; `unknown` when it does not answer. */
  readonly role: string;
  readonly term: number | null;
  readonly url: string;
  readonly internalUrl: string;
  readonly udp: string;
  readonly pid: number | null;
  readonly health: 'ok' | 'paused' | 'down' | 'unreachable';
  /** In words, as this node sees them. */
  readonly problems: readonly string[];
}
export interface Counts {
  readonly items: number | null;
  readonly itemVersions: number | null;
  readonly files: number | null;
  readonly mailsSent: number | null;
  readonly deadLetters: number | null;
  readonly queued: number | null;
}
export interface SystemStatus {
  readonly leader: string | null;
  readonly term: number | null;
  readonly nodes: readonly NodeStatus[];
  readonly services: readonly ServiceView[];
  readonly counts: Counts;
  /** What is broken on purpose right now, in words. */
  readonly faults: readonly string[];
}

const askMs = 700;
const viewSchema = z.object({
  state: z.string(),
  term: z.int(),
  leader: z.string().nullable(),
  problems: z.array(z.string()).default([]),
});
const countsSchema = z.object({
  items: z.int().nullable(),
  itemVersions: z.int().nullable(),
  files: z.int().nullable(),
  mailsSent: z.int().nullable(),
  deadLetters: z.int().nullable(),
  queued: z.int().nullable(),
});
const unknownCounts: Counts = {
  items: null,
  itemVersions: null,
  files: null,
  mailsSent: null,
  deadLetters: null,
  queued: null,
};

export async function systemStatus(
  members: readonly Member[],
  services: readonly ServiceView[],
  /** `withinMs`: for each question; nodes that are far away need more. */
  { faults = [], withinMs = askMs }: { faults?: readonly string[]; withinMs?: number } = {},
): Promise<SystemStatus> {
  const [nodes, counts] = await Promise.all([
    Promise.all(members.map((member) => nodeStatus(member, { services, withinMs }))),
    // The first node that knows; all read the same database and broker.
    Promise.any(
      members.map(({ publicUrl }) => ask(`${publicUrl}/counts`, { schema: countsSchema, withinMs })),
    ).catch(() => unknownCounts),
  ]);
  // Two may say so for a moment while leadership moves; the higher term is right.
  const leader = nodes
    .filter(({ role }) => role === 'leading')
    .sort((one, other) => (other.term ?? 0) - (one.term ?? 0))[0];
  const terms = nodes.flatMap(({ term }) => term ?? []);
  return {
    leader: leader?.id ?? null,
    term: leader?.term ?? (terms.length > 0 ? Math.max(...terms) : null),
    nodes,
    services,
    counts,
    faults,
  };
}

async function nodeStatus(
  member: Member,
  { services, withinMs }: { services: readonly ServiceView[]; withinMs: number },
): Promise<NodeStatus> {
  const service = services.find(({ name }) => name === member.id);
  const about = {
    id: member.id,
    url: member.publicUrl,
    internalUrl: member.internalUrl,
    udp: member.udp,
    pid: service?.pid ?? null,
  };
  try {
    const { state, term, problems } = await ask(`${member.publicUrl}/health`, {
      schema: viewSchema,
      withinMs,
    });
    return { ...about, role: state, term, health: 'ok', problems };
  } catch {
    const health = service?.state === 'paused' ? 'paused' : service?.pid ? 'unreachable' : 'down';
    return { ...about, role: 'unknown', term: null, health, problems: [] };
  }
}

async function ask<T>(
  url: string,
  { schema, withinMs }: { schema: z.ZodType<T>; withinMs: number },
): Promise<T> {
  const { statusCode, body } = await request(url, {
    signal: AbortSignal.timeout(withinMs),
    headersTimeout: withinMs,
    bodyTimeout: withinMs,
  });
  const json = await body.json();
  if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}`);
  return schema.parse(json);
}
