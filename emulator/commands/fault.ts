// `baton kill`, `pause`, `resume` and `transfer` of a running system, asked of its launcher.
import { tellLauncher } from '../launcher/ask-launcher.ts';
import type { FaultAction } from '../launcher/control.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

const withinMs = 5_000;

export async function fault(
  action: FaultAction | 'transfer',
  target: string,
  options: { data: string },
): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    process.stdout.write(`${await tellLauncher(record, { path: action, target }, withinMs)}\n`);
    return exitCodes.ok;
  });
}
