// How long `npm start` takes, with a fresh data folder and warm caches: to an elected leader whose fence is claimed, and to the first scraped item in a row.
// With the development broker, and with RabbitMQ where one is installed.
import { findRabbitmq } from '../emulator/services/rabbitmq/rabbitmq.ts';
import { eventually, startRunningSystem } from '../test/support/running-system.ts';
import { measured, median, unmeasured, type Bench, type Result } from './bench.ts';

const goals = { leaderMs: 3_000, firstItemsMs: { development: 10_000, rabbitmq: 20_000 } };
const firstItemsWithinMs = 60_000;

export const bench: Bench = async ({ rounds }) => {
  const results: Result[] = [];
  for (const broker of ['development', 'rabbitmq'] as const) {
    if (broker === 'rabbitmq' && !findRabbitmq()) {
      results.push(unmeasured('with RabbitMQ: not installed (apt-get install rabbitmq-server)', 'ms'));
      continue;
    }
    const leader: number[] = [];
    const firstItems: number[] = [];
    // One more than asked for: the first fills caches. Each has a folder of its own, since a shop that was crawled before
    // has nothing new to say.
    for (let turn = 0; turn <= rounds; turn++) {
      const system = await startRunningSystem(['--broker', broker]);
      const line = (event: string) => system.lines.find((one) => one.event === event)?.afterMs;
      await eventually(
        'the first items',
        async () => line('first-items'),
        (at) => at !== undefined,
        firstItemsWithinMs,
      );
      if (turn > 0) {
        leader.push(line('leader') ?? NaN);
        firstItems.push(line('first-items') ?? NaN);
      }
      await system.close();
    }
    const limit = goals.firstItemsMs[broker];
    results.push(
      measured(`${broker} broker: start to leader with fence`, 'ms', median(leader), goals.leaderMs),
      measured(`${broker} broker: start to the first scraped items`, 'ms', median(firstItems), limit),
    );
  }
  return results;
};
