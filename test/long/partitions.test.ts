// Another number of partitions, asked for while messages wait: the whole system refuses to start with it, has changed
// nothing, and goes on with the old number.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { itemVersion } from '../../contracts/ids.ts';
import { itemPartitionOf } from '../../contracts/item-partitions.ts';
import { item } from '../integration/database/fresh-database.ts';
import { connectToBrokerOf, enterSourceByHand, publishPage } from '../support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

let folder: string;
let system: RunningSystem | undefined;

beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'baton-partitions-'))));
afterEach(async () => {
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

const start = async (partitions: number): Promise<RunningSystem> =>
  (system = await startRunningSystem(['--no-demo', '--item-partitions', String(partitions)], { folder }));

async function publish(to: RunningSystem, sku: string, partitions: number): Promise<void> {
  const broker = await connectToBrokerOf(to);
  await publishPage(broker, {
    partition: itemPartitionOf({ source: 'shop', sku }, partitions),
    items: [item(sku, itemVersion({ intake: 1, ordinal: 0 }))],
  });
  await broker.close();
}

test('messages that wait keep the number of partitions', async () => {
  const sku = Array.from({ length: 100 }, (_, index) => `lamp-${index}`).find(
    (one) => itemPartitionOf({ source: 'shop', sku: one }, 2) === 1,
  );
  if (sku === undefined) throw new Error('no sku of the second partition');
  const first = await start(2);
  await enterSourceByHand(first, 'shop');
  // Nobody consumes, so what is published waits.
  expect((await first.baton('pause', 'event-sources')).code).toBe(0);
  await publish(first, sku, 2);
  await first.close();

  await expect(start(1)).rejects.toThrow(
    'the item queues are 2 and cannot become 1 while messages wait in items-1 (1): go on with 2',
  );

  const again = await start(2);
  await eventually(
    'the item that waited',
    () => again.status(),
    ({ counts }) => counts.items === 1,
  );
});
