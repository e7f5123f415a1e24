// A handler that does what its event says, good or bad, so that tests see how the host takes it.
import { writeFileSync } from 'node:fs';

let served = 0;
const kept: Buffer[] = [];

interface Order {
  readonly do: string;
  readonly bytes?: number;
  readonly ms?: number;
  /** A file that says the order has arrived. */
  readonly touch?: string;
}
interface Context {
  getRemainingTimeInMillis(): number;
}

export const handler = async (event: Order, context: Context): Promise<unknown> => {
  served++;
  switch (event.do) {
    case 'nothing':
      return undefined;
    case 'describe':
      return {
        served,
        pid: process.pid,
        context: { ...context },
        remainingMs: context.getRemainingTimeInMillis(),
        variables: process.env,
        folder: process.cwd(),
      };
    case 'print':
      console.log('first %d', 1);
      process.stdout.write('{"own":"line"}\n');
      return served;
    case 'throw':
      throw new RangeError('out of range');
    case 'throw-text':
      throw 'only a text';
    case 'reject-later':
      void Promise.reject(new Error('nobody waits for me'));
      await wait(5_000);
      return undefined;
    case 'wait':
      if (event.touch !== undefined) writeFileSync(event.touch, '');
      await wait(event.ms ?? 0);
      return process.pid;
    case 'spin':
      for (;;);
    case 'exit':
      process.exit(7);
    case 'fill-heap': {
      const texts: string[][] = [];
      for (;;) texts.push(Array.from({ length: 10_000 }, (_, index) => `${index}${Math.random()}`));
    }
    case 'fill-buffers':
      for (;;) {
        kept.push(Buffer.alloc(8 * 1024 * 1024, 1));
        await wait(5);
      }
    case 'answer-bytes':
      return 'x'.repeat(event.bytes ?? 0);
    case 'length':
      return JSON.stringify(event).length;
    default:
      throw new Error(`no such order: ${event.do}`);
  }
};

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
