// The public API of a running system's leader, as operator: for commands that read and change what nodes keep. The system
// is the one of processes, the one of containers, or a stage on AWS.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { tokensSchema } from '../../contracts/secrets.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import { askNode, type NodeCall } from '../cluster/ask-node.ts';
import { readAnswer } from '../cluster/read-answer.ts';
import { readStatus } from '../launcher/ask-launcher.ts';
import { layoutOf } from '../instance/instance.ts';
import type { NodeStatus, SystemStatus } from '../cluster/status.ts';
import { docker, findContainer } from './compose-project.ts';
import { composeStatus, nothingRuns } from './compose-status.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { loadAws } from './load-aws.ts';
import { findRunning } from './find-running.ts';
import type { Place } from './target.ts';

export interface LeaderApi {
  readonly url: string;
  /** @throws Failure with the leader's code and reason. */
  ask<T>(method: NodeCall['method'], path: string, schema: z.ZodType<T>, json?: unknown): Promise<T>;
}

const statusWithinMs = 2_000;
const answerWithinMs = 15_000;

/** Runs a command against the leader; says what went wrong, and answers the exit code. */
export async function withLeader(
  place: Place,
  command: (leader: LeaderApi) => Promise<void>,
): Promise<number> {
  return await orFailed(async () => {
    const found = await findLeader(place);
    if (!found) return exitCodes.nothingRunning;
    await command(leaderAt(found.url, found.token));
    return exitCodes.ok;
  });
}

interface Found {
  readonly url: string;
  /** An operator's token. */
  readonly token: string;
}

/** Undefined, and said, when nothing runs. @throws Error when nobody leads. */
async function findLeader({ data, target }: Place): Promise<Found | undefined> {
  switch (target.kind) {
    case 'local':
      return await amongProcesses(data);
    case 'compose':
      return await inContainers();
    case 'aws': {
      const { openAccount } = await loadAws(() => import('../aws/account.ts'));
      const aws = await loadAws(() => import('../aws/cluster.ts'));
      return await aws.findLeader(openAccount(target.stage));
    }
  }
}

async function amongProcesses(data: string): Promise<Found | undefined> {
  const record = await findRunning(data);
  if (!record) return undefined;
  const { url } = leaderOf(await readStatus(record, statusWithinMs));
  return { url, token: operatorOf(await readFile(join(layoutOf(data).secrets, 'tokens.json'), 'utf8')) };
}

async function inContainers(): Promise<Found | undefined> {
  const status = await composeStatus();
  if (status) {
    const { id, url } = leaderOf(status);
    return { url, token: operatorOf(await tokensInContainer(id)) };
  }
  nothingRuns();
  return undefined;
}

function leaderOf({ leader, nodes }: SystemStatus): NodeStatus {
  const node = nodes.find(({ id }) => id === leader);
  if (!node) throw new Error('nobody leads right now: try again when `baton status` names a leader');
  return node;
}

function operatorOf(tokens: string): string {
  const { data } = tokensSchema.pick({ operator: true }).safeParse(parseJson(tokens));
  if (!data) throw new Error("tokens.json holds no operator's token");
  return data.operator;
}

/** The tokens as a node has them. It has to run: in a paused container nothing can be read. */
export async function tokensInContainer(node: string): Promise<string> {
  return await docker('exec', (await findContainer(node)).id, 'cat', '/run/baton/tokens.json');
}

function leaderAt(url: string, token: string): LeaderApi {
  return {
    url,
    ask: async (method, path, schema, json) => {
      const answer = await askNode(url, { method, path, json }, { token, withinMs: answerWithinMs });
      return readAnswer(schema, answer, url);
    },
  };
}
