// What a running system looks like right now, in the fixed form of `baton status --json`. It asks every node at once and
// waits for none longer than its bound, so it answers within a second when half of the system is down.
import { request } from 'undici';
import { z } from 'zod';
import type { Member } from '../../contracts/environment.ts';
import { countsSchema, healthSchema, leadershipStates } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { serviceKinds } from '../services/service.ts';
import { readAnswer } from './read-answer.ts';

const serviceStates = ['starting', 'up', 'paused', 'restarting', 'stopping', 'stopped'] as const;
const serviceViewSchema = z.object({
  name: z.string(),
  kind: z.enum(serviceKinds),
  state: z.enum(serviceStates),
  address: z.string(),
  pid: z.int().nullable(),
  restarts: z.int(),
  /** How it ended the last time, and the last that it said before; null when it never did. */
  lastEnd: z.string().nullable(),
  /** Where its lines are; null where that is not a file. */
  log: z.string().nullable(),
});
const nodeStatusSchema = z.object({
  id: z.string(),
  /** Leadership as writes see it; `unknown` when it does not answer. */
  state: z.enum([...leadershipStates, 'unknown']),
  term: z.int().nullable(),
  url: z.string(),
  internalUrl: z.string(),
  udp: z.string(),
  pid: z.int().nullable(),
  health: z.enum(['ok', 'paused', 'down', 'unreachable']),
  /** In words, as this node sees them. */
  problems: z.array(z.string()).readonly(),
});
export const systemStatusSchema = z.object({
  leader: z.string().nullable(),
  term: z.int().nullable(),
  nodes: z.array(nodeStatusSchema).readonly(),
  services: z.array(serviceViewSchema).readonly(),
  counts: countsSchema,
  /** What is broken on purpose right now, in words. */
  faults: z.array(z.string()).readonly(),
});
export type ServiceState = (typeof serviceStates)[number];
export type ServiceView = Readonly<z.infer<typeof serviceViewSchema>>;
export type NodeStatus = Readonly<z.infer<typeof nodeStatusSchema>>;
export type SystemStatus = Readonly<z.infer<typeof systemStatusSchema>>;

const askMs = 700;
const unknownCounts: SystemStatus['counts'] = {
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
  const [seen, counts] = await Promise.all([
    Promise.all(members.map((member) => lookAt(member, { services, withinMs }))),
    // The first node that knows; all read the same database and broker.
    Promise.any(
      members.map(({ publicUrl }) =>
        ask(publicUrl + publicRoutes.counts, { schema: countsSchema, withinMs }),
      ),
    ).catch(() => unknownCounts),
  ]);
  const nodes = seen.map(({ node }) => node);
  const leader = leaderOf(seen);
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

/** Why nobody leads, as far as the end of a node tells it: `: node-1 ended by exit code 1: ...`; else empty. */
export function endsOfNodes(services: readonly ServiceView[]): string {
  const [first, ...others] = services.filter(({ kind, lastEnd }) => kind === 'node' && lastEnd !== null);
  if (!first) return '';
  const too = others.length > 0 ? `; ${others.map(({ name }) => name).join(', ')} ended, too` : '';
  return `: ${first.name} ${first.lastEnd}${too}`;
}

interface Seen {
  readonly node: NodeStatus;
  /** Whom it follows. */
  readonly follows: string | null;
}

/** Who says so itself, else whom the others follow, if that node runs and only gave no answer in time. */
function leaderOf(seen: readonly Seen[]): { id: string; term: number | null } | undefined {
  // Two may lead, or be followed, for a moment while leadership moves; the higher term is right.
  const newestFirst = seen.toSorted((one, other) => (other.node.term ?? 0) - (one.node.term ?? 0));
  const leading = newestFirst.find(({ node }) => node.state === 'leading')?.node;
  if (leading) return leading;
  const follower = newestFirst.find(({ follows }) => follows !== null);
  const followed = seen.find(({ node }) => node.id === follower?.follows)?.node;
  return followed?.health === 'unreachable'
    ? { id: followed.id, term: follower?.node.term ?? null }
    : undefined;
}

async function lookAt(
  member: Member,
  { services, withinMs }: { services: readonly ServiceView[]; withinMs: number },
): Promise<Seen> {
  const service = services.find(({ name }) => name === member.id);
  const about = {
    id: member.id,
    url: member.publicUrl,
    internalUrl: member.internalUrl,
    udp: member.udp,
    pid: service?.pid ?? null,
  };
  try {
    const { state, term, leader, problems } = await ask(member.publicUrl + publicRoutes.health, {
      schema: healthSchema,
      withinMs,
    });
    const node: NodeStatus = { ...about, state, term, health: 'ok', problems };
    return { node, follows: state === 'following' ? leader : null };
  } catch {
    const health = service?.state === 'paused' ? 'paused' : service?.pid ? 'unreachable' : 'down';
    return { node: { ...about, state: 'unknown', term: null, health, problems: [] }, follows: null };
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
  return readAnswer(schema, json, url);
}
