// A running system: starts the services of a stack, watches who leads, seeds the demo, answers faults, and takes all
// down in order. `baton up` and the system tests use it alike. Prints nothing: what happens is told as events.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BatonEvent, EventDraft } from '../contracts/event.ts';
import { eventVersion } from '../contracts/event.ts';
import { routes } from '../contracts/node-api.ts';
import { transferAnswerSchema } from '../contracts/public-api.ts';
import { publicRoutes } from '../contracts/public-routes.ts';
import { createInternalClient, type InternalClient } from '../runtime/internal-http.ts';
import { parseEventLine } from '../runtime/logger.ts';
import { callLeader } from './cluster/call-leader.ts';
import { everyPaused, startControl, type FaultAction } from './launcher/control.ts';
import { ActiveFaults, activeText } from './faults/active-faults.ts';
import { FaultLinks } from './faults/fault-links.ts';
import { parseChaos } from './faults/grammar.ts';
import {
  endLeftovers,
  keepRecord,
  makeLayout,
  readRecord,
  removeRecord,
  runsAlready,
  takeFolder,
} from './instance/instance.ts';
import { changeMembership } from './instance/change-membership.ts';
import { planMembership } from './instance/membership.ts';
import { runRecovery } from './instance/recover-node.ts';
import { identify, isAlive, type ProcessIdentity } from './instance/process-table.ts';
import { LeaderWatch } from './launcher/leader-watch.ts';
import { RotatingFile } from './rotating-file.ts';
import type { StackSettings } from './stack/settings.ts';
import { describeStack, type Stack } from './stack/stack.ts';
import { startServices, stopServices } from './launcher/start-services.ts';
import { systemStatus, type SystemStatus } from './cluster/status.ts';
import { Supervisor } from './launcher/supervisor.ts';
import type { SystemEvent } from './launcher/system-event.ts';
import { handedOver, transferRequest } from './cluster/transfer.ts';

export interface System {
  readonly stack: Stack;
  status(): Promise<SystemStatus>;
  fault(action: FaultAction, target: string): Promise<string>;
  /** Resolves when somebody asked for the end over the control listener. */
  readonly downAsked: Promise<void>;
  /** Ends everything in order, within a bound. */
  stop(): Promise<void>;
  /** Ends everything at once, by force. */
  stopNow(): void;
}

/** What can be ended: a system, also while it still starts. */
export type Endable = Pick<System, 'stop' | 'stopNow' | 'downAsked'>;

const leaderWithinMs = 30_000;
const reportMs = 500;
/** What it tells of is often the end of a leader, and then the nodes have to do before they show it. */
const reportAfterMs = 250;

/** `nodes`: undefined keeps what the data folder has. */
type SystemSettings = Omit<StackSettings, 'nodes' | 'generation'> & {
  readonly nodes: number | undefined;
};

/**
 * `describe`: tests lead the links through places of their own. `onEndable` is called before the first process starts; who
 * ends the system then makes the start fail.
 * @throws Error with what to do: one runs already, a service does not come up, nobody is elected.
 */
export async function startSystem(
  settings: SystemSettings,
  tell: (event: SystemEvent) => void,
  { describe = describeStack, onEndable = () => undefined }: Partial<StartOptions> = {},
): Promise<System> {
  const { layout } = settings;
  await makeLayout(layout);
  const leaveFolder = await takeFolder(layout);
  try {
    return await startInFolder(settings, tell, { describe, onEndable, leaveFolder });
  } catch (error) {
    leaveFolder();
    throw error;
  }
}

interface StartOptions {
  readonly describe: (settings: StackSettings) => Promise<Stack>;
  readonly onEndable: (system: Endable) => void;
}

async function startInFolder(
  settings: SystemSettings,
  tell: (event: SystemEvent) => void,
  { describe, onEndable, leaveFolder }: StartOptions & { leaveFolder: () => void },
): Promise<System> {
  const { layout } = settings;
  const earlier = await readRecord(layout);
  // The folder was free all the same: somebody deleted its lock.
  if (earlier && isAlive(earlier.launcher)) throw new Error(runsAlready(layout, earlier));
  if (earlier) {
    const names = await endLeftovers(earlier);
    if (names.length > 0) tell({ event: 'leftovers-ended', names });
  }
  const membership = await planMembership(layout, settings.nodes);
  const stack = await describe({ ...settings, ...membership.target });
  tell({ event: 'described', broker: stack.broker.about, movedPorts: stack.movedPorts });

  const abouts = new Map(
    [...stack.first, ...stack.next, ...stack.last].map(({ name, about }) => [name, about]),
  );
  const internal = await internalClient(stack);
  const leaders = new LeaderWatch(tell);
  let groups: readonly (ProcessIdentity & { name: string })[] = [];
  let controlUrl = '';
  const kept = keepRecord(layout);
  const record = (): void => {
    const launcher = identify(process.pid);
    if (controlUrl === '' || !launcher) return;
    kept.is({
      version: 1,
      launcher,
      control: { url: controlUrl, token: stack.credentials.controlToken },
      groups: [...groups],
    });
  };

  const supervisor = new Supervisor({
    logs: layout.logs,
    onChange: (view, detail) => {
      tell({ event: 'service', about: abouts.get(view.name) ?? '', detail, ...view });
      report({ type: 'service.changed', service: view.name, state: view.state, detail });
    },
    onLine: (_service, line) => leaders.read(line),
    onGroups: (present) => {
      groups = present;
      record();
    },
  });

  /** Shown on every node's page; best effort, since a page is no place to fail over. */
  function report(draft: EventDraft): void {
    const event = {
      version: eventVersion,
      at: new Date().toISOString(),
      process: 'emulator',
      ...draft,
    } as BatonEvent;
    setTimeout(() => {
      for (const { internalUrl } of stack.members)
        internal
          .call(internalUrl, {
            method: 'POST',
            path: routes.events,
            json: { events: [event] },
            timeoutMs: reportMs,
          })
          .catch(() => undefined); // That node is down or starting.
    }, reportAfterMs).unref();
  }

  const links = settings.links ? await FaultLinks.open(stack.links) : undefined;
  const leaderNow = async (): Promise<string> => {
    const { leader } = await status();
    if (leader === null) throw new Error('nobody leads right now');
    return leader;
  };
  const faults = new ActiveFaults({
    nodes: stack.members.map(({ id }) => id),
    leader: leaderNow,
    links,
    kill: (name) => supervisor.kill(name),
    pause: (name) => supervisor.pause(name),
    resume: (name) => supervisor.resume(name),
    onChange: (change) => report({ type: 'fault.injected', ...change }),
  });
  const chaos = (command: string): Promise<string> => faults.carryOut(parseChaos(command));
  const faultsInForce = (): string[] => faults.list().map(activeText);
  const status = (): Promise<SystemStatus> =>
    systemStatus(stack.members, supervisor.views(), { faults: faultsInForce() });
  async function fault(action: FaultAction, target: string): Promise<string> {
    if (action === 'resume' && target === everyPaused) {
      const names = supervisor.views().flatMap(({ name, state }) => (state === 'paused' ? [name] : []));
      const done = names.map((name) => fault(action, name));
      return names.length === 0 ? 'nothing is paused' : (await Promise.all(done)).join('\n');
    }
    const name = target === 'leader' ? await leaderNow() : target;
    const before = supervisor.views().find((view) => view.name === name)?.state;
    const pid = supervisor[action](name);
    if (action === 'resume' && before !== 'paused')
      return `${name} was not paused: it is ${before} (pid ${pid})`;
    report({ type: 'fault.injected', target: name, action, detail: `pid ${pid}` });
    return `${{ kill: 'killed', pause: 'paused', resume: 'resumed' }[action]} ${name} (pid ${pid})`;
  }

  async function enterGeneration(): Promise<void> {
    await changeMembership(membership, {
      layout,
      cluster: stack.cluster,
      databaseUrl: stack.databaseUrl,
      databasePasswordUri: stack.credentials.database.uri,
      databaseCaUri: stack.authority.caUri,
    });
    tell({ event: 'membership-changed', ...membership.target });
  }

  async function transfer(target: string): Promise<string> {
    const answer = transferAnswerSchema.parse(
      await callLeader(system, {
        method: 'POST',
        path: publicRoutes.transfer,
        role: 'operator',
        json: transferRequest(target),
      }),
    );
    return handedOver(answer, target);
  }

  async function recover(target: string, how: { by: string; yes: boolean }): Promise<string> {
    const node = stack.first.find(({ name, kind }) => kind === 'node' && name === target);
    if (!node)
      throw new Error(
        `there is no node ${target}; there are ${stack.members.map(({ id }) => id).join(', ')}`,
      );
    const { text } = await runRecovery(node, { ...how, yes: false });
    if (!how.yes) return text;
    await supervisor.stop(node.name);
    try {
      const { line } = await runRecovery(node, how);
      const log = new RotatingFile(join(layout.logs, `${node.name}.log`));
      log.line(line);
      log.close();
      const event = parseEventLine(line);
      if (event) report(event);
    } finally {
      if (!stopped) await supervisor.start(node); // Else everything goes down meanwhile.
    }
    return `${target} has a new vote file, and runs again`;
  }

  let askDown = (): void => undefined;
  const downAsked = new Promise<void>((resolve) => (askDown = resolve));
  const control = await startControl(
    {
      port: stack.controlPort,
      token: stack.credentials.controlToken,
      faultsToken: stack.credentials.faultsToken.token,
    },
    { status, faults: faultsInForce, fault, chaos, transfer, recover, down: askDown },
  );
  controlUrl = control.url;
  record();

  let isUp = false;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      await stopServices(stack, supervisor);
      await control.close();
      faults.close();
      await links?.close();
      await internal.close();
      await kept.close();
      await removeRecord(layout);
      if (isUp) leaveFolder(); // Else the start leaves it, which may not be over yet.
    })());
  const system: System = { stack, status, fault, downAsked, stop, stopNow: () => supervisor.killAll() };
  onEndable(system);

  try {
    if (stopped) throw new Error('it was ended while it started');
    await startServices(stack, supervisor, {
      ...settings,
      beforeNodes: membership.steps.length > 0 ? enterGeneration : undefined,
      onCrawlsKept: (reason) => tell({ event: 'crawls-kept', reason }),
    });
    await leaders.elected(leaderWithinMs, () => supervisor.views().filter(({ kind }) => kind === 'node'));
    if (stopped) throw new Error('it was ended while it started');
    isUp = true;
    return system;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function internalClient({ authority }: Stack): Promise<InternalClient> {
  const { certFile, keyFile } = authority.leaf('emulator');
  return createInternalClient({
    ca: authority.ca,
    cert: await readFile(certFile, 'utf8'),
    key: await readFile(keyFile, 'utf8'),
  });
}
