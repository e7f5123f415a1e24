// A message that nobody can handle, followed by its operator from another terminal: listed, looked at, corrected, sent again,
// stored, traced. The whole system, the real commands.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectBroker } from '../../runtime/rabbitmq.ts';
import { enterSourceByHand } from '../support/publish-page.ts';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const page = {
  version: 1,
  source: 'by-hand',
  intake: 1,
  page: 0,
  url: 'https://shop.example/page',
  fetchedAt: '2026-01-01T00:00:00.000Z',
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
};
const item = {
  source: 'by-hand',
  sku: 'lamp-1',
  version: 2 ** 24,
  title: 'A lamp',
  url: null,
  imageUrl: null,
  price: 'ten',
  currency: 'EUR',
  inStock: true,
  stock: null,
};
let system: RunningSystem;

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo']);
});
afterAll(() => system?.close());

async function publishByHand(): Promise<void> {
  const { services } = await system.status();
  const broker = connectBroker({
    url: services.find(({ kind }) => kind === 'broker')?.address ?? '',
    credentials: () => system.secret('broker.json'),
    ca: await readFile(join(system.folder, '.baton', 'tls', 'ca.pem'), 'utf8'),
    name: 'by hand',
  });
  const body = JSON.stringify({ ...page, items: [item] });
  await broker.publish({
    exchange: 'baton',
    routingKey: 'items.by-hand',
    type: 'item-page',
    messageId: 'by-hand',
    body,
  });
  await broker.close();
}
const json = <T>(output: string): T[] =>
  output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);

test('a dead letter is found, corrected, sent again and followed to its row', async () => {
  await enterSourceByHand(system, 'by-hand');
  await publishByHand();
  const [letter] = await eventually(
    'the dead letter',
    async () =>
      json<{ id: number; code: string }>(
        (await system.baton('dlq', 'list', '--source', 'by-hand', '--json')).stdout,
      ),
    (letters) => letters.length === 1,
  );
  expect(letter?.code).toBe('ITEM_MALFORMED');
  // All readers of one second share one look at the queues, which may be older than the letter.
  await eventually(
    'its count',
    () => system.status(),
    ({ counts }) => counts.deadLetters === 1,
    5_000,
  );
  const id = String(letter?.id);
  expect((await system.baton('dlq', 'show', id)).stdout).toContain('items.0.price: expected number');

  const corrected = join(system.folder, 'corrected.json');
  await writeFile(corrected, JSON.stringify({ ...page, items: [{ ...item, price: 10 }] }));
  const edited = await system.baton('dlq', 'edit', id, '--file', corrected, '--retry', '--as', 'mara');
  expect(edited).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('sends 1 dead letter again') as string,
  });
  const trace = await eventually(
    'its row and where it came from',
    () => system.baton('trace', 'by-hand/lamp-1'),
    ({ code, stdout }) => code === 0 && stdout.includes('posted'),
  );
  for (const part of ['A lamp', 'https://shop.example/page', 'message by-hand/0', 'attempt 1', 'new, 10 EUR'])
    expect(trace.stdout).toContain(part);
  const [done] = json<{ by: string; kind: string }>((await system.baton('dlq', 'actions', '--json')).stdout);
  expect(done).toMatchObject({ by: 'mara', kind: 'retry' });
  await eventually(
    'no dead letter',
    () => system.status(),
    ({ counts }) => counts.deadLetters === 0,
  );
  expect(await system.baton('dlq', 'show', '999')).toMatchObject({ code: 1, stderr: 'no dead letter 999\n' });
  expect(await system.baton('dlq', 'discard', id)).toMatchObject({ code: 2 });
});
