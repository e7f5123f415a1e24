// The other side of control.ts: what a command in another terminal asks of the launcher of a running system.
import { request } from 'undici';
import { faultDoneSchema, launcherRefusalSchema } from '../../contracts/faults.ts';
import type { InstanceRecord } from '../instance/instance.ts';
import { systemStatusSchema, type SystemStatus } from '../cluster/status.ts';
import type { FaultAction } from './control.ts';

export type LauncherCommand =
  | { readonly path: 'down' }
  /** `target`: a service, a node, or `leader`. */
  | { readonly path: FaultAction | 'transfer' | 'restart'; readonly target: string }
  | { readonly path: 'recover'; readonly target: string; readonly by: string; readonly yes: boolean }
  | { readonly path: 'sql'; readonly statement: string }
  /** A command of faults/grammar.ts. */
  | { readonly path: 'chaos'; readonly command: string };

/** @throws Error when it does not answer in time. */
export async function readStatus(record: InstanceRecord, withinMs: number): Promise<SystemStatus> {
  return systemStatusSchema.parse(await ask(record, { method: 'GET', path: 'status', withinMs }));
}

/** @returns what was done, in words. @throws Error with the launcher's reason, or when it does not answer in time. */
export async function tellLauncher(
  record: InstanceRecord,
  { path, ...json }: LauncherCommand,
  withinMs: number,
): Promise<string> {
  return faultDoneSchema.parse(await ask(record, { method: 'POST', path, json, withinMs })).done;
}

async function ask(
  { control, launcher }: InstanceRecord,
  call: { method: 'GET' | 'POST'; path: string; json?: object; withinMs: number },
): Promise<unknown> {
  const { statusCode, body } = await request(`${control.url}/${call.path}`, {
    method: call.method,
    headers: { authorization: `Bearer ${control.token}` },
    body: call.json === undefined ? null : JSON.stringify(call.json),
    signal: AbortSignal.timeout(call.withinMs),
  }).catch((cause: unknown) => {
    throw new Error(`the launcher (pid ${launcher.pid}) does not answer`, { cause });
  });
  const answer = await body.json();
  if (statusCode < 300) return answer;
  throw new Error(
    launcherRefusalSchema.safeParse(answer).data?.error ?? `the launcher answered ${statusCode}`,
  );
}
