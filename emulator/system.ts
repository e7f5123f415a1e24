// A running system: starts the services of a stack, watches who leads, listens for what people do to it, and takes all
// down in order. `baton up` and the system tests use it alike. Prints nothing: what happens is told as events.
import { changeMembership } from './instance/change-membership.ts';
import {
  endLeftovers,
  keepRecord,
  makeLayout,
  readRecord,
  removeRecord,
  runsAlready,
  takeFolder,
  type Layout,
} from './instance/instance.ts';
import { planMembership } from './instance/membership.ts';
import { settleRestored } from './instance/in-place-of-node.ts';
import { identify, isAlive, type ProcessIdentity } from './instance/process-table.ts';
import { FaultLinks } from './faults/fault-links.ts';
import { startControl } from './launcher/control.ts';
import { LeaderWatch } from './launcher/leader-watch.ts';
import { Operations } from './launcher/operations.ts';
import { openPageReports } from './launcher/page-reports.ts';
import { startServices, stopServices } from './launcher/start-services.ts';
import { Supervisor } from './launcher/supervisor.ts';
import type { SystemEvent } from './launcher/system-event.ts';
import type { SystemStatus } from './cluster/status.ts';
import type { StackSettings } from './stack/settings.ts';
import { describeStack, type Stack } from './stack/stack.ts';

export interface System {
  readonly stack: Stack;
  status(): Promise<SystemStatus>;
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

/** `nodes`: undefined keeps what the data folder has. */
type SystemSettings = Omit<StackSettings, 'nodes' | 'generation'> & {
  readonly nodes: number | undefined;
  /** The database comes from a backup, which is older than the nodes' vote files. */
  readonly restored?: boolean;
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
  await endEarlier(layout, tell);
  const membership = await planMembership(layout, settings.nodes);
  const stack = await describe({ ...settings, ...membership.target });
  tell({ event: 'described', broker: stack.broker.about, movedPorts: stack.movedPorts });

  const pages = await openPageReports(stack);
  const leaders = new LeaderWatch(tell);
  const record = keepRecord(layout);
  const abouts = new Map(
    [...stack.first, ...stack.next, ...stack.last].map(({ name, about }) => [name, about]),
  );
  const supervisor = new Supervisor({
    logs: layout.logs,
    onChange: (view, detail) => {
      tell({ event: 'service', about: abouts.get(view.name) ?? '', detail, ...view });
      pages.show({ type: 'service.changed', service: view.name, state: view.state, detail });
    },
    onLine: (_service, line) => leaders.read(line),
    onGroups: (groups) => note(groups),
  });
  const links = settings.links ? await FaultLinks.open(stack.links) : undefined;
  const operations = new Operations({
    stack,
    logs: layout.logs,
    supervisor,
    links,
    show: (event) => pages.show(event),
  });
  const { controlToken, faultsToken } = stack.credentials;
  const control = await startControl(
    { port: stack.controlPort, token: controlToken, faultsToken: faultsToken.token },
    operations,
  );
  const note = (groups: readonly (ProcessIdentity & { name: string })[]): void => {
    const launcher = identify(process.pid);
    if (!launcher) return;
    const reachedAt = { url: control.url, token: controlToken };
    record.is({ version: 1, launcher, control: reachedAt, groups: [...groups] });
  };
  note([]);

  let isUp = false;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      await stopServices(stack, supervisor);
      await control.close();
      operations.close();
      await links?.close();
      await pages.close();
      await record.close();
      await removeRecord(layout);
      if (isUp) leaveFolder(); // Else the start leaves it, which may not be over yet.
    })());
  const system: System = {
    stack,
    status: () => operations.status(),
    downAsked: operations.downAsked,
    stop,
    stopNow: () => supervisor.killAll(),
  };
  onEndable(system);

  async function beforeNodes(): Promise<void> {
    const node = stack.first.find(({ kind }) => kind === 'node');
    if (settings.restored === true && node) {
      await settleRestored(node);
      tell({ event: 'restored' });
    }
    if (membership.steps.length === 0) return;
    await changeMembership(membership, {
      layout,
      cluster: stack.cluster,
      databaseUrl: stack.databaseUrl,
      databasePasswordUri: stack.credentials.database.uri,
      databaseCaUri: stack.authority.caUri,
    });
    tell({ event: 'membership-changed', ...membership.target });
  }
  const goOn = (): void => {
    if (stopped) throw new Error('it was ended while it started');
  };
  try {
    goOn();
    await startServices(stack, supervisor, {
      ...settings,
      beforeNodes: settings.restored === true || membership.steps.length > 0 ? beforeNodes : undefined,
      onCrawlsKept: (reason) => tell({ event: 'crawls-kept', reason }),
    });
    await leaders.elected(leaderWithinMs, () => supervisor.views().filter(({ kind }) => kind === 'node'));
    goOn();
    isUp = true;
    return system;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What a launcher that was killed left running. @throws Error when one still runs, or something does not end. */
async function endEarlier(layout: Layout, tell: (event: SystemEvent) => void): Promise<void> {
  const earlier = await readRecord(layout);
  if (!earlier) return;
  // The folder was free all the same: somebody deleted its lock.
  if (isAlive(earlier.launcher)) throw new Error(runsAlready(layout, earlier));
  const names = await endLeftovers(earlier);
  if (names.length > 0) tell({ event: 'leftovers-ended', names });
}
