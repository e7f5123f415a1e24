// The running system in a data folder, for the commands of another terminal.
import { batonCommand, startCommand } from '../instance/command-text.ts';
import { layoutOf, readRecord, type InstanceRecord } from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import { CommandError } from './exit-codes.ts';

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
