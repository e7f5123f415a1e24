// The public API of a running system's leader, as operator: for commands that read and change what nodes keep.
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
import { exitCodes, findRunning } from './running.ts';

export interface LeaderApi {
  /** @throws Failure with the leader's code and reason. */
  ask<T>(method: 'GET' | 'POST' | 'PUT', path: string, schema: z.ZodType<T>, json?: unknown): Promise<T>;
}

const statusWithinMs = 2_000;
const answerWithinMs = 15_000;
const tokensSchema = z.object({ operator: z.string() });

/** Runs a command against the leader; says what went wrong, and answers the exit code. */
export async function withLeader(
  data: string,
  command: (leader: LeaderApi) => Promise<void>,
): Promise<number> {
  const record = await findRunning(data);
  if (!record) return exitCodes.nothingRunning;
  try {
    const { leader, nodes } = (await callControl(record, {
      path: 'status',
      timeoutMs: statusWithinMs,
    })) as SystemStatus;
    const url = nodes.find(({ id }) => id === leader)?.url;
    if (url === undefined)
      throw new Error('nobody leads right now: try again when `baton status` names a leader');
    const tokens = await readFile(join(layoutOf(data).secrets, 'tokens.json'), 'utf8');
    await command(leaderAt(url, tokensSchema.parse(JSON.parse(tokens)).operator));
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return exitCodes.failed;
  }
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
