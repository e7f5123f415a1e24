// How another terminal reaches a running system: a small HTTP listener of the launcher on loopback, with a token that
// only this user can read. It injects faults and takes the system down; it reads and writes data by
// statements that somebody typed, and never else. The nodes have a token of their own, with which they pass on what their
// page wants broken.
import type { IncomingMessage, RequestListener } from 'node:http';
import { z } from 'zod';
import {
  faultCommandSchema,
  launcherChaosPath,
  type FaultDone,
  type FaultList,
} from '../../contracts/faults.ts';
import { describeError } from '../../runtime/failure.ts';
import { describeIssues, issuesOf } from '../../runtime/issues.ts';
import { readBounded } from '../../runtime/read-bounded.ts';
import { sameSecret } from '../../runtime/same-secret.ts';
import { answerJson, closeServer, listenLocally } from '../local-http.ts';
import type { SystemStatus } from '../cluster/status.ts';

export const faultActions = ['kill', 'pause', 'resume'] as const;
export type FaultAction = (typeof faultActions)[number];
/** Target of `resume`: whoever paused a leader need not know which node it was. */
export const everyPaused = 'paused';

export interface ControlPorts {
  status(): Promise<SystemStatus>;
  /** `target`: a service, `leader`, or of `resume` `paused`. @returns what was done, in words. @throws Error with the reason. */
  fault(action: FaultAction, target: string): Promise<string>;
  /** The faults in force. */
  faults(): FaultList['faults'];
  /** A command of faults/grammar.ts, as text. */
  chaos(command: string): Promise<string>;
  /** `target`: a node, or `first` in rank. @throws Error when nobody took over. */
  transfer(target: string): Promise<string>;
  /** In order, with the code as it is now. @throws Error with the reason when it does not come up. */
  restart(target: string): Promise<string>;
  /** A new vote file for a node; without `yes` only what would be done. @throws Error with the reason of a refusal. */
  recover(target: string, how: { by: string; yes: boolean }): Promise<string>;
  /** Runs a statement in a node's place. @returns its rows, a line of JSON each. @throws Error with what the database says. */
  sql(statement: string): Promise<string>;
  down(): void;
}

const host = '127.0.0.1';
const bodyBytesMax = 4_096;
const faultSchema = z.strictObject({ target: z.string().min(1).max(64) });
const sqlSchema = z.strictObject({ statement: z.string().min(1).max(bodyBytesMax) });
const recoverSchema = faultSchema.extend({ by: z.string().min(1).max(100), yes: z.boolean() });

export interface ControlTokens {
  readonly token: string;
  /** The token that is good for commands of the fault grammar alone. */
  readonly faultsToken: string;
}

export const controlUrl = (port: number): string => `http://${host}:${port}`;

export async function startControl(
  { port, ...tokens }: ControlTokens & { port: number },
  ports: ControlPorts,
): Promise<{ url: string; close(): Promise<void> }> {
  const listener: RequestListener = (request, response) => {
    answer(request, tokens, ports).then(
      ({ status, body }) => answerJson(response, status, body),
      (error: unknown) =>
        answerJson(response, 400, {
          error: error instanceof z.ZodError ? describeIssues(issuesOf(error)) : describeError(error),
        }),
    );
  };
  const listening = await listenLocally(listener, { port, host });
  return { url: controlUrl(listening.port), close: () => closeServer(listening.server) };
}

async function answer(
  request: IncomingMessage,
  { token, faultsToken }: ControlTokens,
  ports: ControlPorts,
): Promise<{ status: number; body: unknown }> {
  const route = `${request.method} ${request.url}`;
  // The token is what counts; a page of another site could neither know it nor send it.
  const given = request.headers.authorization ?? '';
  const passesOn = request.url === launcherChaosPath && sameSecret(given, `Bearer ${faultsToken}`);
  if (!passesOn && !sameSecret(given, `Bearer ${token}`))
    return { status: 401, body: { error: 'this needs the control token of .baton/instance.json' } };
  if (route === 'GET /status') return { status: 200, body: await ports.status() };
  if (route === 'POST /down') {
    ports.down();
    return { status: 202, body: { done: 'going down' } };
  }
  if (route === `GET ${launcherChaosPath}`)
    return { status: 200, body: { faults: ports.faults() } satisfies FaultList };
  if (route === `POST ${launcherChaosPath}`) {
    const { command } = faultCommandSchema.parse(await readJson(request));
    return { status: 200, body: { done: await ports.chaos(command) } satisfies FaultDone };
  }
  if (route === 'POST /transfer') {
    const { target } = faultSchema.parse(await readJson(request));
    return { status: 200, body: { done: await ports.transfer(target) } };
  }
  if (route === 'POST /restart') {
    const { target } = faultSchema.parse(await readJson(request));
    return { status: 200, body: { done: await ports.restart(target) } };
  }
  if (route === 'POST /recover') {
    const { target, ...how } = recoverSchema.parse(await readJson(request));
    return { status: 200, body: { done: await ports.recover(target, how) } };
  }
  if (route === 'POST /sql') {
    const { statement } = sqlSchema.parse(await readJson(request));
    return { status: 200, body: { done: await ports.sql(statement) } };
  }
  const action = faultActions.find((name) => route === `POST /${name}`);
  if (!action) return { status: 404, body: { error: `there is no ${route}` } };
  const { target } = faultSchema.parse(await readJson(request));
  return { status: 200, body: { done: await ports.fault(action, target) } };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBounded(request, { bytesMax: bodyBytesMax, what: 'the body' });
  return JSON.parse(body.toString('utf8'));
}
