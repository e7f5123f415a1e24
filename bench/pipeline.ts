// Items through the whole path, publish to committed row: page-sized messages through a broker, the event source, the Invoke
// API, the deliver function and the leader. The floor is publishing with confirms alone, measured in the same run.
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { itemVersion, pageMessageIdInput } from '../contracts/ids.ts';
import { itemPageType, itemPageVersion } from '../contracts/item-page.ts';
import { exchanges, routingKeys } from '../contracts/topology.ts';
import { connectBroker, type BrokerClient } from '../runtime/rabbitmq.ts';
import { newTraceparent } from '../runtime/trace.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../test/support/running-system.ts';
import { median, round, type Bench } from './bench.ts';

const pages = 500;
const itemsPerPage = 20;
const inFlight = 50;

export const bench: Bench = async ({ rounds }) => {
  const system = await startRunningSystem(['--no-demo']);
  try {
    await system.change('PUT', '/sources/bench', { kind: 'partner', name: 'bench' });
    const broker = await openBroker(system);
    const throughput: number[] = [];
    const publishing: number[] = [];
    for (let intake = 1; intake <= rounds; intake++) {
      const before = (await system.get<{ itemVersions: number }>('/counts')).itemVersions;
      const began = performance.now();
      await publishPages(broker, intake);
      publishing.push((pages * itemsPerPage) / ((performance.now() - began) / 1_000));
      await eventually(
        'all rows',
        () => system.get<{ itemVersions: number }>('/counts'),
        ({ itemVersions }) => itemVersions >= before + pages * itemsPerPage,
        120_000,
      );
      throughput.push((pages * itemsPerPage) / ((performance.now() - began) / 1_000));
    }
    await broker.close();
    const [ours, floor] = [median(throughput), median(publishing)];
    return [
      {
        what: `live: ${itemsPerPage} items a message, publish to committed row, beside publishing alone`,
        unit: 'items/s',
        ours: round(ours),
        peer: round(floor),
        ratio: round(ours / floor, 2),
        goal: '>= 0.6 of publishing',
        met: ours / floor >= 0.6,
      },
    ];
  } finally {
    await system.close();
  }
};

async function openBroker(system: RunningSystem): Promise<BrokerClient> {
  const { services } = await system.status();
  const address = services.find(({ kind }) => kind === 'broker')?.address ?? '';
  return connectBroker({
    url: address,
    credentials: () => system.secret<{ username: string; password: string }>('broker.json'),
    ca: await readFile(join(system.folder, '.baton', 'tls', 'ca.pem'), 'utf8'),
    name: 'bench',
  });
}

async function publishPages(broker: BrokerClient, intake: number): Promise<void> {
  const todo = Array.from({ length: pages }, (_, page) => page).values();
  const worker = async (): Promise<void> => {
    for (const page of todo) {
      const message = pageMessage(intake, page);
      await broker.publish({
        exchange: exchanges.main.name,
        routingKey: routingKeys.items('bench'),
        ...message,
      });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

function pageMessage(intake: number, page: number): { type: string; messageId: string; body: string } {
  const source = 'bench';
  const items = Array.from({ length: itemsPerPage }, (_, position) => ({
    source,
    sku: `sku-${page}-${position}`,
    title: `Article ${randomUUID()}`,
    url: `https://shop.example/p/${page}-${position}`,
    imageUrl: null,
    price: intake + position,
    currency: 'EUR',
    inStock: true,
    stock: position,
    version: itemVersion({ intake, ordinal: page * itemsPerPage + position }),
  }));
  return {
    type: itemPageType,
    messageId: createHash('sha256').update(pageMessageIdInput({ source, intake, page })).digest('hex'),
    body: JSON.stringify({
      version: itemPageVersion,
      source,
      intake,
      page,
      url: `https://shop.example/list/${page}`,
      fetchedAt: new Date().toISOString(),
      traceparent: newTraceparent(),
      items,
    }),
  };
}
