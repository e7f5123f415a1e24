// `baton status` of a running system, asked of its launcher.
import { readStatus } from '../launcher/ask-launcher.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { findRunning } from './find-running.ts';
import { statusText } from './status-text.ts';

const withinMs = 950; // `status` answers within a second, whatever is down.

/** `before`: printed with it. */
export async function status(options: { data: string; json: boolean; before: string }): Promise<number> {
  return await orFailed(async () => {
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    const answer = await readStatus(record, withinMs).catch((cause: unknown) => {
      throw new Error('There is no status', { cause });
    });
    const text = options.json ? `${JSON.stringify(answer)}\n` : statusText(answer);
    process.stdout.write(`${options.before}${text}`);
    return exitCodes.ok;
  });
}
