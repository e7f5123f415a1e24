// The one virtual host: exchanges, queues and bindings, the way of a message into queues, and of a dead one into its
// next. Changes of definitions are on disk before they are answered. Knows nothing of connections.
import { mkdir } from 'node:fs/promises';
import { AmqpError, notImplemented } from './amqp-error.ts';
import type { Table } from './amqp.ts';
import { deadLetter, goesInCircles } from './dead-letter.ts';
import {
  noDefinitions,
  queueFolder,
  readDefinitions,
  removeStrays,
  writeDefinitions,
  type Definitions,
} from './definitions.ts';
import { Journal } from './journal.ts';
import { limits } from './limits.ts';
import type { Message } from './message.ts';
import {
  queueSettings,
  readQueueArguments,
  refuseOtherArguments,
  type QueueArguments,
} from './queue-arguments.ts';
import type { DeathReason } from './queue-state.ts';
import { Queue, type CacheBudget } from './queue.ts';
import { exchangeTypes, route, type Binding, type ExchangeType } from './routing.ts';
import { WritePressure } from './write-pressure.ts';

export interface BrokerOptions {
  readonly folder: string;
  /** Something was found at the start that people should know. */
  readonly onNotice: (text: string) => void;
  /** The disk failed: the process has to end, and confirms nothing until it does. */
  readonly onFatal: (error: Error) => void;
  readonly cachedBytes?: number;
}

/** Exchanges that every broker has. The first, without a name, reaches every queue by its name. */
const standardExchanges: readonly (readonly [string, ExchangeType])[] = [
  ['', 'direct'],
  ['amq.direct', 'direct'],
  ['amq.topic', 'topic'],
  ['amq.fanout', 'fanout'],
];

export class Broker {
  readonly pressure = new WritePressure(limits.unwrittenBytes);
  readonly #options: BrokerOptions;
  readonly #cache: CacheBudget;
  /** What is on disk. The rest below is made from it, for speed. */
  #definitions: Definitions = noDefinitions;
  readonly #exchanges = new Map<string, ExchangeType>(standardExchanges);
  readonly #queues = new Map<string, Queue>();
  /** The bindings of each exchange. */
  #bindings: ReadonlyMap<string, readonly Binding[]> = new Map();
  /** One change of definitions at a time. */
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(options: BrokerOptions) {
    this.#options = options;
    this.#cache = { bytesLeft: options.cachedBytes ?? limits.cachedBytes };
  }

  /** @throws Error naming the file when what is on disk cannot be read. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const broker = new Broker(options);
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const definitions = await readDefinitions(options.folder);
    await removeStrays(options.folder, definitions);
    broker.#definitions = definitions;
    for (const { name, type } of definitions.exchanges) broker.#exchanges.set(name, type);
    broker.#bindings = Map.groupBy(definitions.bindings, ({ exchange }) => exchange);
    for (const { name, id, arguments: table } of definitions.queues)
      broker.#queues.set(name, await broker.#openQueue(name, id, table));
    // After all are there, since the dead of one go to another.
    for (const queue of broker.#queues.values()) queue.start();
    return broker;
  }

  async close(): Promise<void> {
    await this.#changes;
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  // -- exchanges

  /** @throws AmqpError when there is one of another type, or none of that type can be. */
  declareExchange(name: string, type: string): Promise<void> {
    const known = exchangeTypes.find((candidate) => candidate === type);
    if (type === 'headers') throw notImplemented("exchange type 'headers'");
    if (known === undefined) throw new AmqpError('COMMAND_INVALID', `unknown exchange type '${type}'`);
    return this.#inTurn(async () => {
      const current = this.#exchanges.get(name);
      if (current === known) return;
      if (current !== undefined)
        throw new AmqpError(
          'PRECONDITION_FAILED',
          `inequivalent arg 'type' for exchange '${name}' in vhost '/': received '${known}' but current is '${current}'`,
        );
      refuseReserved('exchange', name);
      const { exchanges } = this.#definitions;
      refuseMore('exchanges', exchanges.length, limits.exchanges);
      await this.#save({ exchanges: [...exchanges, { name, type: known }] });
      this.#exchanges.set(name, known);
    });
  }

  /** @throws AmqpError NOT_FOUND */
  exchange(name: string): ExchangeType {
    const type = this.#exchanges.get(name);
    if (type === undefined) throw new AmqpError('NOT_FOUND', `no exchange '${name}' in vhost '/'`);
    return type;
  }

  /** There need not be one. @throws AmqpError */
  deleteExchange(name: string, { ifUnused }: { ifUnused: boolean }): Promise<void> {
    refuseReserved('exchange', name);
    return this.#inTurn(async () => {
      if (ifUnused && this.#bindings.has(name))
        throw new AmqpError('PRECONDITION_FAILED', `exchange '${name}' in vhost '/' in use`);
      const { exchanges, bindings } = this.#definitions;
      await this.#save({
        exchanges: exchanges.filter((exchange) => exchange.name !== name),
        bindings: bindings.filter(({ exchange }) => exchange !== name),
      });
      this.#exchanges.delete(name);
    });
  }

  // -- queues

  /** @throws AmqpError when there is one with other arguments, or they are not understood. */
  declareQueue(name: string, table: Table): Promise<Queue> {
    const received = readQueueArguments(name, table);
    queueSettings(name, received);
    return this.#inTurn(async () => {
      const current = this.#queues.get(name);
      if (current) {
        refuseOtherArguments(name, current.arguments, received);
        return current;
      }
      refuseReserved('queue', name);
      const { queues, nextQueueId: id } = this.#definitions;
      refuseMore('queues', queues.length, limits.queues);
      // Its definition comes first: a folder without one is taken for the rest of a deletion.
      await this.#save({ queues: [...queues, { name, id, arguments: received }], nextQueueId: id + 1 });
      const queue = await this.#openQueue(name, id, received);
      this.#queues.set(name, queue);
      return queue;
    });
  }

  /** @throws AmqpError NOT_FOUND */
  queue(name: string): Queue {
    const queue = this.#queues.get(name);
    if (!queue) throw new AmqpError('NOT_FOUND', `no queue '${name}' in vhost '/'`);
    return queue;
  }

  /** There need not be one. @returns how many messages it had. @throws AmqpError */
  deleteQueue(name: string, { ifUnused, ifEmpty }: { ifUnused: boolean; ifEmpty: boolean }): Promise<number> {
    return this.#inTurn(async () => {
      const queue = this.#queues.get(name);
      if (!queue) return 0;
      if (ifUnused && queue.consumerCount > 0)
        throw new AmqpError('PRECONDITION_FAILED', `queue '${name}' in vhost '/' in use`);
      if (ifEmpty && queue.readyCount > 0)
        throw new AmqpError('PRECONDITION_FAILED', `queue '${name}' in vhost '/' not empty`);
      this.#queues.delete(name);
      const { queues, bindings } = this.#definitions;
      await this.#save({
        queues: queues.filter((other) => other.name !== name),
        bindings: bindings.filter((binding) => binding.queue !== name),
      });
      return await queue.delete();
    });
  }

  // -- bindings

  /** @throws AmqpError NOT_FOUND when there is no such exchange or queue. */
  bind(binding: Binding): Promise<void> {
    return this.#inTurn(async () => {
      this.#findEnds(binding);
      const { bindings } = this.#definitions;
      if (bindings.some((other) => isSame(other, binding))) return;
      refuseMore('bindings', bindings.length, limits.bindings);
      await this.#save({ bindings: [...bindings, binding] });
    });
  }

  /** There need not be one. @throws AmqpError NOT_FOUND when there is no such exchange or queue. */
  unbind(binding: Binding): Promise<void> {
    return this.#inTurn(async () => {
      this.#findEnds(binding);
      const { bindings } = this.#definitions;
      await this.#save({ bindings: bindings.filter((other) => !isSame(other, binding)) });
    });
  }

  #findEnds({ exchange, queue }: Binding): void {
    this.exchange(exchange);
    this.queue(queue);
    if (exchange === '')
      throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
  }

  // -- messages

  /** The queues a message goes to. @throws AmqpError NOT_FOUND when there is no such exchange. */
  route(exchange: string, routingKey: string): Queue[] {
    const type = this.exchange(exchange);
    if (exchange === '') {
      const queue = this.#queues.get(routingKey);
      return queue ? [queue] : [];
    }
    const names = route(type, this.#bindings.get(exchange) ?? [], routingKey);
    return [...names].flatMap((name) => this.#queues.get(name) ?? []);
  }

  async #bury(
    { queue, reason, taken }: { queue: Queue; reason: DeathReason; taken: Set<string> },
    message: Message,
  ): Promise<boolean> {
    const { deadLetter: way } = queue.settings;
    if (!way) return true;
    const letter = deadLetter(message, {
      queue: queue.name,
      reason,
      atS: Math.floor(Date.now() / 1000),
      exchange: way.exchange,
      routingKey: way.routingKey,
    });
    const found = this.#exchanges.has(way.exchange) ? this.route(letter.exchange, letter.routingKey) : [];
    const targets = found.filter(({ name }) => reason === 'rejected' || !goesInCircles(letter, name));
    await Promise.all(
      targets
        .filter(({ name }) => !taken.has(name))
        .map(async (target) => {
          if (await target.publish(letter, undefined)) taken.add(target.name);
        }),
    );
    if (!way.atLeastOnce) return true;
    // A message that only goes round in circles is dropped; one that nobody takes yet is kept.
    return found.length > 0 && targets.every(({ name }) => taken.has(name));
  }

  // -- on disk

  async #openQueue(name: string, id: number, table: QueueArguments): Promise<Queue> {
    const { onFatal, onNotice } = this.#options;
    const { journal, entries, tornBytes } = await Journal.open({
      folder: queueFolder(this.#options.folder, id),
      pressure: this.pressure,
      onFatal,
    });
    if (tornBytes > 0)
      onNotice(
        `the last write to queue ${name} was cut off: ${tornBytes} bytes, none of them confirmed, are left out`,
      );
    return new Queue({
      name,
      arguments: table,
      settings: queueSettings(name, table),
      journal,
      entries,
      cache: this.#cache,
      bury: (death, message) => this.#bury(death, message),
      onFatal,
    });
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => undefined); // Told to whoever asked for it; the next change has its own fate.
    return done;
  }

  /** Written first, then believed. */
  async #save(changed: Partial<Definitions>): Promise<void> {
    const definitions = { ...this.#definitions, ...changed };
    try {
      await writeDefinitions(this.#options.folder, definitions);
    } catch (cause) {
      const error = new Error(
        `the definitions in ${this.#options.folder} cannot be written. Look for a full or broken disk, then start the broker again`,
        { cause },
      );
      this.#options.onFatal(error);
      throw error;
    }
    this.#definitions = definitions;
    this.#bindings = Map.groupBy(definitions.bindings, ({ exchange }) => exchange);
  }
}

function isSame(a: Binding, b: Binding): boolean {
  return a.exchange === b.exchange && a.queue === b.queue && a.routingKey === b.routingKey;
}

function refuseReserved(kind: 'exchange' | 'queue', name: string): void {
  if (name === '' || name.startsWith('amq.'))
    throw new AmqpError('ACCESS_REFUSED', `${kind} name '${name}' is reserved`);
}

function refuseMore(what: string, count: number, max: number): void {
  if (count >= max)
    throw new AmqpError('RESOURCE_ERROR', `there are ${max} ${what} already, the most there may be`);
}
