// Which dead letters the leader takes, and which it leaves: what comes back too often is dropped by RabbitMQ, so that one which
// cannot be stored holds up no other.
import { expect, test } from 'vitest';
import { collectDeadLetters } from '../../../nodes/dead-letters/collect.ts';
import type { NewDeadLetter } from '../../../nodes/dead-letters/store.ts';
import type { TakenMessage } from '../../../runtime/rabbitmq.ts';

type Keep = (messages: TakenMessage[]) => Promise<void>;

function world() {
  const seen = {
    open: 0,
    takes: [] as string[],
    letters: {} as Record<string, TakenMessage[]>,
    kept: [] as NewDeadLetter[],
    refuses: (_letters: readonly NewDeadLetter[]): Error | undefined => undefined,
  };
  const store = {
    openDeadLetters: () => Promise.resolve({ items: seen.open }),
    async keepDeadLetters(_term: number, letters: readonly NewDeadLetter[]) {
      const refusal = seen.refuses(letters);
      if (refusal) throw refusal;
      seen.kept.push(...letters);
    },
  };
  const broker = {
    async take(queue: string, _limits: unknown, keep: Keep) {
      seen.takes.push(queue);
      const messages = seen.letters[queue] ?? [];
      if (messages.length > 0) await keep(messages);
      seen.letters[queue] = [];
      return messages.length;
    },
  };
  return { seen, collect: () => collectDeadLetters(1, store, broker) };
}
const letter = (messageId: string): TakenMessage => ({
  body: Buffer.from(messageId),
  headers: { odd: 'header' },
  messageId,
  type: 'item-page',
  timestamp: undefined,
});
const refusal = (sqlstate: string) =>
  new Error('keeping dead letters', { cause: Object.assign(new Error('no such text'), { code: sqlstate }) });

test('above its bound the rest stays in the queues, and it says so', async () => {
  const { seen, collect } = world();
  seen.open = 200_000;
  await expect(collect()).rejects.toMatchObject({ code: 'BUSY' });
  expect(seen.takes).toEqual([]);
});

test('letters that cannot be taken hold up none of another queue, and the failure is told', async () => {
  const { seen, collect } = world();
  seen.letters = { 'items.dead': [letter('a')], 'files.dead': [letter('b')], 'mail.dead': [letter('c')] };
  seen.refuses = ([first]) => (first?.queue === 'items' ? refusal('40001') : undefined);
  await expect(collect()).rejects.toThrow('keeping dead letters');
  expect(seen.kept.map(({ messageId }) => messageId)).toEqual(['b', 'c']);
});

test('one that the database refuses as data is kept as its body alone, with the reason; the others as they are, once', async () => {
  const { seen, collect } = world();
  seen.letters = { 'items.dead': ['a', 'b', 'c', 'd', 'e'].map(letter) };
  seen.refuses = (letters) =>
    letters.some(({ messageId }) => messageId === 'd') ? refusal('22021') : undefined;
  await collect();
  expect(seen.kept.map(({ messageId, body }) => [messageId, body.toString()])).toEqual([
    ['a', 'a'],
    ['b', 'b'],
    ['c', 'c'],
    ['', 'd'],
    ['e', 'e'],
  ]);
  expect(seen.kept[3]?.reason).toMatch(/^the database refuses what stands around its body: .*no such text/);
});
