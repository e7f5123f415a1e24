// The commands that talk to a running system from another terminal: status, kill, pause, resume, down.
import { describeError } from '../../runtime/failure.ts';
import { callControl, type FaultAction } from '../control.ts';
import {
  endLeftovers,
  layoutOf,
  readRecord,
  removeRecord,
  type InstanceRecord,
} from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import { pause } from '../pause.ts';
import type { SystemStatus } from '../status.ts';
import { exitCodes } from './exit-codes.ts';

const statusWithinMs = 950; // `status` answers within a second, whatever is down.
const faultWithinMs = 5_000;
const downWithinMs = 15_000;

export async function findRunning(data: string): Promise<InstanceRecord | undefined> {
  const record = await readRecord(layoutOf(data));
  if (record && isAlive(record.launcher)) return record;
  process.stderr.write(`Nothing runs in ${layoutOf(data).root}: \`npm start\` starts it.\n`);
  return undefined;
}

export async function status(options: { data: string; json: boolean }): Promise<number> {
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  try {
    const answer = (await callControl(record, { path: 'status', timeoutMs: statusWithinMs })) as SystemStatus;
    process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : statusText(answer));
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(
      `The launcher (pid ${record.launcher.pid}) gives no status: ${describeError(error)}\n`,
    );
    return exitCodes.failed;
  }
}

export function statusText(status: SystemStatus): string {
  return statusPage(
    status,
    status.services
      .filter(({ kind }) => kind !== 'node')
      .map(({ name, state, restarts, pid }) =>
        `${name.padEnd(14)} ${state.padEnd(11)} ${`pid ${pid ?? '-'}`.padEnd(12)} ${restarts > 0 ? `restarted ${restarts} times` : ''}`.trimEnd(),
      ),
  );
}

/** `services`: a line for each; what is known of one differs between processes and the cloud. */
export function statusPage(
  { leader, term, nodes, counts, faults }: Omit<SystemStatus, 'services'>,
  services: readonly string[],
): string {
  const lines = [leader === null ? 'Nobody leads.' : `${leader} leads in term ${term}.`, ''];
  for (const { id, role, term: nodeTerm, url, health } of nodes)
    lines.push(
      `  ${id === leader ? '*' : ' '} ${id.padEnd(10)} ${role.padEnd(10)} ${`term ${nodeTerm ?? '?'}`.padEnd(9)} ${health.padEnd(12)} ${url}`,
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
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  try {
    const { done } = (await callControl(record, { path: action, target, timeoutMs: faultWithinMs })) as {
      done: string;
    };
    process.stdout.write(`${done}\n`);
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return exitCodes.failed;
  }
}

export async function down(options: { data: string }): Promise<number> {
  const layout = layoutOf(options.data);
  const earlier = await readRecord(layout);
  if (earlier && !isAlive(earlier.launcher)) {
    const left = await endLeftovers(earlier);
    await removeRecord(layout);
    if (left.length > 0) {
      process.stdout.write(`The launcher was gone; ended what it had left running: ${left.join(', ')}.\n`);
      return exitCodes.ok;
    }
  }
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  await callControl(record, { path: 'down', timeoutMs: faultWithinMs });
  const deadline = performance.now() + downWithinMs;
  while (isAlive(record.launcher)) {
    if (performance.now() > deadline) {
      process.stderr.write(
        `The launcher (pid ${record.launcher.pid}) still runs after ${downWithinMs / 1000} s.\n`,
      );
      return exitCodes.failed;
    }
    await pause(50);
  }
  process.stdout.write('All down.\n');
  return exitCodes.ok;
}
