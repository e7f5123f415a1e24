// `baton chaos <command>`: a fault of the grammar on the running system, for a while.
import { describeError } from '../../runtime/failure.ts';
import { tellLauncher } from '../launcher/ask-launcher.ts';
import { parseChaos } from '../faults/grammar.ts';
import { exitCodes, orFailed } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

export interface ChaosOptions {
  readonly data: string;
  readonly oneWay?: boolean;
  readonly for?: string;
  readonly seed?: string;
}

const answerWithinMs = 5_000;

export async function chaos(words: readonly string[], options: ChaosOptions): Promise<number> {
  const command = [
    ...words,
    ...(options.oneWay === true ? ['one-way'] : []),
    ...(options.for === undefined ? [] : ['for', options.for]),
    ...(options.seed === undefined ? [] : ['seed', options.seed]),
  ].join(' ');
  try {
    parseChaos(command);
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return exitCodes.usage;
  }
  return await orFailed(async () => {
    const record = await findRunning(options.data);
    if (!record) return exitCodes.nothingRunning;
    process.stdout.write(`${await tellLauncher(record, { path: 'chaos', command }, answerWithinMs)}\n`);
    return exitCodes.ok;
  });
}
