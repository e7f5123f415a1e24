// `baton chaos <command>`: a fault of the grammar on the running system, for a while.
import { describeError } from '../../runtime/failure.ts';
import { callControl } from '../control.ts';
import { parseChaos } from '../faults/grammar.ts';
import { exitCodes } from './exit-codes.ts';
import { findRunning } from './running.ts';

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
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  try {
    const answer = await callControl(record, { path: 'chaos', command, timeoutMs: answerWithinMs });
    process.stdout.write(`${(answer as { done: string }).done}\n`);
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    return exitCodes.failed;
  }
}
