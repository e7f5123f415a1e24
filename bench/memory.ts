// What a node holds in memory at rest and under a steady stream of items, and what the development broker holds when nobody
// takes its messages. The goal for a node is after ten minutes: BATON_BENCH_MINUTES=10 measures that. From /proc, so on Linux.
import { startBenchSystem, type BenchSystem } from './bench-system.ts';
import { measured, type Bench } from './bench.ts';
import { pageMessage } from './item-messages.ts';
import { pagesOf, publishAll, type Shape } from './pipeline-stages.ts';
import { rssMb } from './process-cost.ts';

const goals = { restMb: 170, busyMb: 200, floodedMb: 400 };
const minutes = Number(process.env['BATON_BENCH_MINUTES'] ?? 0.5);
const perSecond = 1_000;
const itemsPerPage = 20;
const articles = 100_000; // A catalogue that is read again and again, not one that grows.
const restMs = 5_000;
const flood: Shape = { items: 100_000, itemsPerPage: 1, itemsPerBatch: 1 };

export const bench: Bench = async () => {
  const system = await startBenchSystem(['--broker', 'development']);
  try {
    const broker = (): Promise<number> => rssMb(system.pid('broker'));
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const rest = await largestNode(system);
    const intakes = await publishSteadily(system);
    const busy = await largestNode(system);
    const calm = await broker();
    system.signal('event-sources', 'SIGSTOP');
    await publishAll(system, pagesOf(flood, { intake: intakes + 1 }));
    const flooded = await broker();
    system.signal('event-sources', 'SIGCONT');
    return [
      measured('a node at rest, the largest', 'MB', rest, goals.restMb),
      measured(`a node after ${minutes} min at ${perSecond} items/s, the largest`, 'MB', busy, goals.busyMb),
      measured('the development broker after the same', 'MB', calm),
      measured(
        `the development broker with ${flood.items} messages that nobody takes`,
        'MB',
        flooded,
        goals.floodedMb,
      ),
    ];
  } finally {
    await system.close();
  }
};

async function largestNode(system: BenchSystem): Promise<number> {
  const nodes = system.running.ready.nodes.map(({ id }) => rssMb(system.pid(id)));
  return Math.max(...(await Promise.all(nodes)));
}

/** @returns the last intake it used. */
async function publishSteadily({ publisher }: BenchSystem): Promise<number> {
  const pagesPerSecond = perSecond / itemsPerPage;
  const pagesPerIntake = articles / itemsPerPage;
  const began = performance.now();
  let intake = 1;
  for (let page = 0; page < pagesPerSecond * 60 * minutes; page++) {
    const waitMs = began + (page * 1_000) / pagesPerSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    intake = 1 + Math.floor(page / pagesPerIntake);
    await publisher.publish(pageMessage({ intake, page: page % pagesPerIntake, itemsPerPage }));
  }
  return intake;
}
