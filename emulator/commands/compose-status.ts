// `baton status`, `kill`, `pause`, `resume` and `logs` for the system in containers: the same form as for the local one,
// made of what Docker says and of what the nodes answer on their published ports.
import type { Member } from '../../contracts/environment.ts';
import { everyPaused, type FaultAction } from '../launcher/control.ts';
import type { ServiceKind } from '../services/service.ts';
import { systemStatus, type ServiceState, type ServiceView, type SystemStatus } from '../cluster/status.ts';
import { breakContainer, compose, listContainers, projectName, type Container } from './compose-project.ts';
import { exitCodes } from './exit-codes.ts';
import type { ShownLogs } from './logs.ts';
import { statusText } from './status-text.ts';

const kinds: Readonly<Record<string, ServiceKind>> = {
  database: 'database',
  broker: 'broker',
  localstack: 'aws',
  deployer: 'aws',
  init: 'aws',
  'event-sources': 'event-sources',
  lambda: 'lambda',
  front: 'lambda',
  ftp: 'ftp',
  inbox: 'smtp',
  'demo-shop': 'demo-shop',
};

/** Undefined when there is no container of the project. */
export async function composeStatus(): Promise<SystemStatus | undefined> {
  const containers = await listContainers();
  if (containers.length === 0) return undefined;
  const nodes = containers.filter(({ service }) => kindOf(service) === 'node');
  return await systemStatus(nodes.map(memberOf), containers.filter(isNotDone).map(viewOf));
}

/** `before`: printed with it. */
export async function statusOfCompose({
  json,
  before = '',
}: {
  json: boolean;
  before?: string;
}): Promise<number> {
  const status = await composeStatus();
  if (!status) return nothingRuns();
  process.stdout.write(`${before}${json ? `${JSON.stringify(status)}\n` : statusText(status)}`);
  return exitCodes.ok;
}

export async function faultInCompose(action: FaultAction, target: string): Promise<number> {
  const containers = await listContainers();
  if (containers.length === 0) return nothingRuns();
  if (action === 'resume' && target === everyPaused) {
    const paused = containers.filter(({ status }) => status === 'paused');
    const done = await Promise.all(paused.map(({ service }) => breakContainer(action, service)));
    process.stdout.write(
      done.length === 0 ? 'nothing is paused\n' : done.map((text) => `${text}\n`).join(''),
    );
    return exitCodes.ok;
  }
  const service = target === 'leader' ? (await composeStatus())?.leader : target;
  if (!service) throw new Error('nobody leads right now');
  process.stdout.write(`${await breakContainer(action, service)}\n`);
  return exitCodes.ok;
}

/** As compose prints them: by container. */
export async function logsOfCompose(
  services: readonly string[],
  { follow, tail, since }: Pick<ShownLogs, 'follow' | 'tail' | 'since'>,
): Promise<number> {
  if ((await listContainers()).length === 0) return nothingRuns();
  const newer = since === undefined ? [] : ['--since', `${Math.ceil(since / 1_000)}s`];
  return await compose([
    'logs',
    '--tail',
    String(tail),
    ...newer,
    ...(follow ? ['--follow'] : []),
    ...services,
  ]);
}

export function viewOf(container: Container): ServiceView {
  const { service, pid, restarts, published } = container;
  return {
    name: service,
    kind: kindOf(service),
    state: stateOf(container),
    address: Object.values(published)[0] ?? service,
    pid: pid === 0 ? null : pid,
    restarts,
    lastEnd: null, // `compose logs` has it.
    log: null,
  };
}

export function nothingRuns(): number {
  process.stderr.write(
    `No container of the project ${projectName()} is there: \`npm run compose -- up\` starts it.\n`,
  );
  return exitCodes.nothingRunning;
}

/** What ends by itself, and did so well, is no service any more. */
function isNotDone({ status, exitCode }: Container): boolean {
  return status !== 'exited' || exitCode !== 0;
}
function kindOf(service: string): ServiceKind {
  return kinds[service] ?? 'node';
}
function stateOf({ status, health }: Container): ServiceState {
  switch (status) {
    case 'running':
      return health === undefined || health === 'healthy' ? 'up' : 'starting';
    case 'created':
      return 'starting';
    case 'paused':
    case 'restarting':
      return status;
    case 'removing':
      return 'stopping';
    default:
      return 'stopped';
  }
}
function memberOf({ service, published }: Container): Member {
  const number = service.replace(/^node-/, '');
  return {
    id: service,
    udp: `votes-${number}:730${number}`,
    internalUrl: `https://${service}:7443`,
    // Not running: it publishes nothing, and is asked where nobody answers.
    publicUrl: `http://${Object.values(published)[0] ?? '127.0.0.1:0'}`,
    voter: true,
  };
}
