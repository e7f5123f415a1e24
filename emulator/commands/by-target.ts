// The commands that are there for every target, each with its three ways. What belongs to AWS is loaded for AWS alone.
import { transferAnswerSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { userName } from '../../runtime/user-name.ts';
import { pause } from '../../runtime/waiting.ts';
import { readStatus } from '../launcher/ask-launcher.ts';
import type { FaultAction } from '../launcher/control.ts';
import { handedOver, transferRequest } from '../cluster/transfer.ts';
import { chaos, type ChaosOptions } from './chaos.ts';
import {
  composeStatus,
  faultInCompose,
  logsOfCompose,
  nothingRuns,
  statusOfCompose,
} from './compose-status.ts';
import { CommandError, exitCodes, orFailed } from './exit-codes.ts';
import { fault } from './fault.ts';
import { findRunning } from './find-running.ts';
import { withLeader } from './leader-api.ts';
import { loadAws } from './load-aws.ts';
import { logs, type ShownLogs } from './logs.ts';
import { nodeDetails, nodesText, type NodeDetail } from './nodes.ts';
import { status } from './status.ts';
import type { Place, Target } from './target.ts';
import { whileRead } from './while-read.ts';

type InAws = Extract<Target, { kind: 'aws' }>;

const statusWithinMs = 2_000;
const nodeWithinMs = 700;
const watchEveryMs = 1_000;
const clearScreen = '\u001b[H\u001b[2J';

/** `watch`: again and again, until there is none or nobody reads it. */
export async function showStatus({
  watch,
  ...options
}: Place & { json: boolean; watch: boolean }): Promise<number> {
  const read = whileRead();
  const before = watch && process.stdout.isTTY && !options.json ? clearScreen : '';
  for (;;) {
    const code = await showStatusOnce({ ...options, before });
    if (!watch || code !== exitCodes.ok || read.aborted) return code;
    await pause(watchEveryMs, read);
  }
}

async function showStatusOnce({
  target,
  ...options
}: Place & { json: boolean; before: string }): Promise<number> {
  switch (target.kind) {
    case 'local':
      return await status(options);
    case 'compose':
      return await orFailed(() => statusOfCompose(options));
    case 'aws':
      return await orFailed(async () => {
        const { cloudStatus, cloudStatusText } = await loadAws(() => import('../aws/status.ts'));
        const found = await cloudStatus(await accountOf(target));
        print(`${options.before}${options.json ? `${JSON.stringify(found)}\n` : cloudStatusText(found)}`);
        return exitCodes.ok;
      });
  }
}

export async function showNodes({ target, data, json }: Place & { json: boolean }): Promise<number> {
  const tell = (nodes: readonly NodeDetail[]): number => {
    print(json ? nodes.map((node) => `${JSON.stringify(node)}\n`).join('') : nodesText(nodes));
    return exitCodes.ok;
  };
  return await orFailed(async () => {
    switch (target.kind) {
      case 'local': {
        const record = await findRunning(data);
        if (!record) return exitCodes.nothingRunning;
        const found = await readStatus(record, statusWithinMs);
        return tell(await nodeDetails(found, { withinMs: nodeWithinMs }));
      }
      case 'compose': {
        const found = await composeStatus();
        return found ? tell(await nodeDetails(found, { withinMs: nodeWithinMs })) : nothingRuns();
      }
      case 'aws': {
        const { cloudNodes } = await loadAws(() => import('../aws/nodes.ts'));
        const { nodes, problems } = await cloudNodes(await accountOf(target));
        for (const problem of problems) process.stderr.write(`${problem}\n`);
        return tell(nodes);
      }
    }
  });
}

export async function showLogs(
  services: readonly string[],
  { target, ...options }: Place & ShownLogs,
): Promise<number> {
  switch (target.kind) {
    case 'local':
      return await logs(services, options);
    case 'compose':
      return await orFailed(() => logsOfCompose(services, options));
    case 'aws':
      return await orFailed(() => {
        const { follow, json, since } = options;
        if (!follow && !json && since === undefined) return logsInAws(services, target);
        throw new CommandError(
          'usage',
          '`logs` on AWS has neither --follow nor --since nor --json: `aws logs tail <log group> --follow --since 10m` does it',
        );
      });
  }
}

export async function injectFault(
  action: FaultAction,
  service: string,
  { target, data }: Place,
): Promise<number> {
  switch (target.kind) {
    case 'local':
      return await fault(action, service, { data });
    case 'compose':
      return await orFailed(() => faultInCompose(action, service));
    case 'aws':
      return await orFailed(() => faultInAws(action, service, target));
  }
}

/** `node`: who is to lead, or `first` in rank. */
export async function transfer(node: string, place: Place): Promise<number> {
  const { target, data } = place;
  if (target.kind === 'local') return await fault('transfer', node, { data });
  return await orFailed(async () => {
    if (target.kind === 'aws') await accountForFaults(target);
    return await withLeader(place, async (leader) => {
      const answer = await leader.ask(
        'POST',
        publicRoutes.transfer,
        transferAnswerSchema,
        transferRequest(node),
      );
      print(`${handedOver(answer, node)}\n`);
    });
  });
}

export async function breakNetwork(words: readonly string[], options: Place & ChaosOptions): Promise<number> {
  const { target } = options;
  switch (target.kind) {
    case 'local':
      return await chaos(words, options);
    case 'compose':
      return await orFailed(() => {
        throw new CommandError(
          'failed',
          '`chaos` breaks the links of `npm start`, and containers have none: cut one off with `docker network disconnect baton_votes <container>` (docs/local.md)',
        );
      });
    case 'aws':
      return await orFailed(async () => {
        await accountForFaults(target);
        throw new CommandError(
          'failed',
          `\`chaos\` breaks the links of \`npm start\`, and a stage on AWS has none: \`baton kill\` stops a task of ${target.stage}`,
        );
      });
  }
}

async function logsInAws(services: readonly string[], target: InAws): Promise<number> {
  const { logPlaces, readLogEnd } = await loadAws(() => import('../aws/logs.ts'));
  const account = await accountOf(target);
  const places = logPlaces(account);
  const unknown = services.find((service) => !places.has(service));
  if (unknown !== undefined)
    throw new Error(`there is no log of ${unknown}; there are ${[...places.keys()].join(', ')}`);
  let found = 0;
  // One after another: CloudWatch takes few of these questions a second.
  for (const [name, place] of places) {
    if (services.length > 0 && !services.includes(name)) continue;
    const lines = await readLogEnd(place);
    if (!lines) {
      process.stderr.write(`There is no log group ${place.group}.\n`);
      continue;
    }
    found += 1;
    for (const line of lines) print(`${name.padEnd(14)} | ${line}\n`);
  }
  if (found > 0) return exitCodes.ok;
  throw new CommandError(
    'nothingRunning',
    `no log of ${target.stage} is there: is it deployed, and are these the credentials and the region of its account?`,
  );
}

async function faultInAws(action: FaultAction, service: string, target: InAws): Promise<number> {
  const account = await accountForFaults(target);
  switch (action) {
    case 'kill': {
      const { stopTask } = await loadAws(() => import('../aws/services.ts'));
      print(`${await stopTask(account, { service: await leaderFor(service), by: userName() })}\n`);
      return exitCodes.ok;
    }
    case 'pause':
    case 'resume':
      throw new CommandError(
        'failed',
        `\`${action}\` is not there on AWS: ECS stops and starts tasks and freezes none. \`baton kill\` stops one`,
      );
  }

  async function leaderFor(named: string): Promise<string> {
    if (named !== 'leader') return named;
    const { readClusterAt, readPublicUrl } = await loadAws(() => import('../aws/cluster.ts'));
    const { leader } = await readClusterAt(await readPublicUrl(account));
    if (!leader) throw new Error('nobody leads right now');
    return leader.nodeId;
  }
}

async function accountOf({ stage }: InAws) {
  const { openAccount } = await loadAws(() => import('../aws/account.ts'));
  return openAccount(stage);
}
async function accountForFaults(target: InAws) {
  const { requireFaultsAllowed } = await loadAws(() => import('../aws/account.ts'));
  const account = await accountOf(target);
  requireFaultsAllowed(account);
  return account;
}
function print(text: string): void {
  process.stdout.write(text);
}
