// The public API of a running system's leader, as operator: for commands that read and change what nodes keep. The system
// is the one of processes or the one of containers.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { failures, type FailureCode } from '../../contracts/failures.ts';
import { problemSchema } from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { callControl } from '../control.ts';
import { layoutOf } from '../instance/instance.ts';
import type { SystemStatus } from '../status.ts';
import { docker, findContainer } from './compose-project.ts';
import { composeStatus, nothingRuns } from './compose-status.ts';
import { exitCodes, findRunning } from './running.ts';

export type Target = 'local' | 'compose';
/** Which system a command is for; `data` counts for the local one. */
export interface Place {
  readonly data: string;
  readonly target: Target;
}
export interface LeaderApi {
  /** @throws Failure with the leader's code and reason. */
  ask<T>(method: 'GET' | 'POST' | 'PUT', path: string, schema: z.ZodType<T>, json?: unknown): Promise<T>;
}

const statusWithinMs = 2_000;
const answerWithinMs = 15_000;
const tokensSchema = z.object({ operator: z.string() });

/** Runs a command against the leader; says what went wrong, and answers the exit code. */
export async function withLeader(
  { data, target }: Place,
  command: (leader: LeaderApi) => Promise<void>,
): Promise<number> {
  try {
    const system = target === 'compose' ? await inContainers() : await ofProcesses(data);
    if (!system) return exitCodes.nothingRunning;
    const { leader, nodes } = system.status;
    const node = nodes.find(({ id }) => id === leader);
    if (!node) throw new Error('nobody leads right now: try again when `baton status` names a leader');
    const tokens = await system.readTokens(node.id);
    await command(leaderAt(node.url, tokensSchema.parse(JSON.parse(tokens)).operator));
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return exitCodes.failed;
  }
}

/** Undefined, and said, when nothing runs. */
type Found = { status: SystemStatus; readTokens: (node: string) => Promise<string> } | undefined;

async function ofProcesses(data: string): Promise<Found> {
  const record = await findRunning(data);
  if (!record) return undefined;
  const status = (await callControl(record, { path: 'status', timeoutMs: statusWithinMs })) as SystemStatus;
  return { status, readTokens: () => readFile(join(layoutOf(data).secrets, 'tokens.json'), 'utf8') };
}

async function inContainers(): Promise<Found> {
  const status = await composeStatus();
  if (status) return { status, readTokens: tokensInContainer };
  nothingRuns();
  return undefined;
}

/** Of a node that runs: in a paused container nothing can be read. */
export async function tokensInContainer(node: string): Promise<string> {
  return await docker('exec', (await findContainer(node)).id, 'cat', '/run/baton/tokens.json');
}

function leaderAt(url: string, token: string): LeaderApi {
  return {
    async ask(method, path, schema, json) {
      const { statusCode, body } = await request(url + path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: json === undefined ? null : JSON.stringify(json),
        signal: AbortSignal.timeout(answerWithinMs),
      });
      const answer = await body.json();
      if (statusCode === 200) return schema.parse(answer);
      const { code, detail, title } = problemSchema.parse(answer);
      throw new Failure(code in failures ? (code as FailureCode) : 'INTERNAL', detail ?? title);
    },
  };
}
