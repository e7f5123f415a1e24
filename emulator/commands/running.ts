// The commands that talk to a running system from another terminal: status, kill, pause, resume, down.
import type { Command } from 'commander';
import { describeError } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import { batonCommand, startCommand } from '../instance/command-text.ts';
import { readStatus, tellLauncher } from '../launcher/ask-launcher.ts';
import type { FaultAction } from '../launcher/control.ts';
import {
  endLeftovers,
  layoutOf,
  readRecord,
  removeRecord,
  takeFolder,
  type InstanceRecord,
  type Layout,
} from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import type { ServiceView, SystemStatus } from '../cluster/status.ts';
import { dataOption } from './options.ts';
import { CommandError, exitCodes, orFailed, type Finish } from './exit-codes.ts';

const statusWithinMs = 950; // `status` answers within a second, whatever is down.
const faultWithinMs = 5_000;
const downWithinMs = 15_000;

export function addDown(program: Command, finish: Finish): void {
  program
    .command('down')
    .description('end a running system')
    .addOption(dataOption())
    .action(async (options: { data: string }) => finish(await down(options)));
}

/** Undefined, and said, when nothing runs. @throws CommandError when services run without their launcher. */
export async function findRunning(data: string): Promise<InstanceRecord | undefined> {
  const layout = layoutOf(data);
  const record = await readRecord(layout);
  if (record && isAlive(record.launcher)) return record;
  const left = record?.groups.filter(isAlive) ?? [];
  if (left.length > 0)
    throw new CommandError(
      'failed',
      `The launcher in ${layout.root} is gone, and left these running: ${left.map(({ name }) => name).join(', ')}. \`${batonCommand('down', layout.root)}\` ends them, and so does the next start.`,
    );
  process.stderr.write(`Nothing runs in ${layout.root}: \`${startCommand(layout.root)}\` starts it.\n`);
  return undefined;
}

/** `before`: printed with it. */
export async function status(options: { data: string; json: boolean; before: string }): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    const answer = await readStatus(record, statusWithinMs).catch((cause: unknown) => {
      throw new Error('There is no status', { cause });
    });
    const text = options.json ? `${JSON.stringify(answer)}\n` : statusText(answer);
    process.stdout.write(`${options.before}${text}`);
    return exitCodes.ok;
  });
}

export function statusText(status: SystemStatus): string {
  const lines = (kind: 'node' | 'other') =>
    status.services.filter((service) => (service.kind === 'node') === (kind === 'node'));
  return statusPage(
    status,
    lines('other').flatMap((service) => [
      `${service.name.padEnd(14)} ${service.state.padEnd(11)} ${`pid ${service.pid ?? '-'}`.padEnd(12)} ${restartsText(service)}`.trimEnd(),
      ...endText(service),
    ]),
    new Map(
      lines('node').map((node) => [
        node.name,
        [...(node.restarts > 0 ? [restartsText(node)] : []), ...endText(node)],
      ]),
    ),
  );
}

function restartsText({ restarts }: ServiceView): string {
  if (restarts === 0) return '';
  return restarts === 1 ? 'restarted once' : `restarted ${restarts} times`;
}

/** Why it ended, and where to read on. */
function endText({ lastEnd, log }: ServiceView): string[] {
  if (lastEnd === null) return [];
  return [`  ${lastEnd.replaceAll(/\s*\n\s*/g, ' ').slice(0, 200)}`, ...(log === null ? [] : [`  ${log}`])];
}

/**
 * `services`: lines for each; what is known of one differs between processes and the cloud. `ofNodes`: what else is known
 * of a node.
 */
export function statusPage(
  { leader, term, nodes, counts, faults }: Omit<SystemStatus, 'services'>,
  services: readonly string[],
  ofNodes: ReadonlyMap<string, readonly string[]> = new Map(),
): string {
  const lines = [leader === null ? 'Nobody leads.' : `${leader} leads in term ${term}.`, ''];
  for (const { id, role, term: nodeTerm, url, health } of nodes)
    lines.push(
      `  ${id === leader ? '*' : ' '} ${id.padEnd(10)} ${role.padEnd(10)} ${`term ${nodeTerm ?? '?'}`.padEnd(9)} ${health.padEnd(12)} ${url}`,
      ...(ofNodes.get(id) ?? []).map((line) => `      ${line}`),
    );
  lines.push('', ...services.map((line) => `    ${line}`));
  const problems = new Set(nodes.flatMap((node) => node.problems));
  if (problems.size > 0) lines.push('', ...[...problems].map((problem) => `  ! ${problem}`));
  if (faults.length > 0) lines.push('', '  broken on purpose:', ...faults.map((fault) => `    ${fault}`));
  const number = (value: number | null): string => (value === null ? '?' : value.toLocaleString('en'));
  lines.push(
    '',
    `    ${number(counts.items)} items in ${number(counts.itemVersions)} versions, ${number(counts.files)} files, ${number(counts.mailsSent)} mails sent, ${number(counts.queued)} messages queued, ${number(counts.deadLetters)} dead letters`,
    '',
  );
  return lines.join('\n');
}

export async function fault(
  action: FaultAction | 'transfer',
  target: string,
  options: { data: string },
): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    process.stdout.write(`${await tellLauncher(record, { path: action, target }, faultWithinMs)}\n`);
    return exitCodes.ok;
  });
}

async function down(options: { data: string }): Promise<number> {
  return await orFailed(async () => {
    const layout = layoutOf(options.data);
    const earlier = await readRecord(layout);
    if (earlier && !isAlive(earlier.launcher)) {
      const left = await clearUp(layout);
      if (left.length > 0) {
        process.stdout.write(`The launcher was gone; ended what it had left running: ${left.join(', ')}.\n`);
        return exitCodes.ok;
      }
    }
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    const { pid } = record.launcher;
    const byForce = `\`kill -9 ${pid}\`, then \`${batonCommand('down', layout.root)}\` again, which ends what it leaves running`;
    await tellLauncher(record, { path: 'down' }, faultWithinMs).catch((cause: unknown) => {
      throw new Error(`${describeError(cause)}: ${byForce}`);
    });
    const deadline = performance.now() + downWithinMs;
    while (isAlive(record.launcher)) {
      if (performance.now() > deadline)
        throw new Error(`the launcher (pid ${pid}) still runs after ${downWithinMs / 1000} s: ${byForce}`);
      await pause(50);
    }
    process.stdout.write('All down.\n');
    return exitCodes.ok;
  });
}

/** Nobody starts meanwhile: the record that is removed here would be the new one's. @returns the names of what was ended. */
async function clearUp(layout: Layout): Promise<string[]> {
  const leaveFolder = await takeFolder(layout);
  try {
    const record = await readRecord(layout);
    if (!record || isAlive(record.launcher)) return [];
    const left = await endLeftovers(record);
    await removeRecord(layout);
    return left;
  } finally {
    leaveFolder();
  }
}
