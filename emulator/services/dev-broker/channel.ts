// One channel: what its client asks on it, the messages it holds unacknowledged, its consumers and its confirms.
// Throws AmqpError for what may not be; the connection tells the client and closes. Never touches a socket.
import { AmqpError, notImplemented } from './amqp-error.ts';
import {
  contentFrames,
  decodeProperties,
  encodeAnswer,
  encodeProperties,
  type AnswerName,
  type Frame,
  type Request,
  type RequestOf,
} from './amqp.ts';
import type { Broker } from './broker.ts';
import { Confirms } from './confirms.ts';
import { limits } from './limits.ts';
import type { Message } from './message.ts';
import { Publishing, type Publish, type ReceivingBudget } from './publishing.ts';
import type { Consumer, Queue, QueuedMessage } from './queue.ts';

/** The client, as far as a channel has to know it. */
export interface Peer {
  readonly frameBytesMax: number;
  send(frames: readonly Buffer[]): void;
  /** Does it take what it is sent? */
  hasRoom(): boolean;
}

interface Unacknowledged {
  readonly queue: Queue;
  readonly entry: QueuedMessage;
  readonly consumer: ChannelConsumer | undefined;
}

interface ChannelConsumer extends Consumer {
  readonly tag: string;
  readonly queue: Queue;
  unacknowledged: number;
}

export class Channel {
  readonly #number: number;
  readonly #peer: Peer;
  readonly #broker: Broker;
  readonly #receiving: ReceivingBudget;
  readonly #consumers = new Map<string, ChannelConsumer>();
  /** Deliveries by their tags, which rise. */
  readonly #unacknowledged = new Map<number, Unacknowledged>();
  #publishing: Publishing | undefined;
  #confirms: Confirms | undefined;
  #tellingConfirms = false;
  #lastDeliveryTag = 0;
  #lastConsumer = 0;
  /** The prefetch of consumers that are yet to come; 0 is no limit. */
  #prefetch = 0;
  #closed = false;

  constructor(options: { number: number; peer: Peer; broker: Broker; receiving: ReceivingBudget }) {
    this.#number = options.number;
    this.#peer = options.peer;
    this.#broker = options.broker;
    this.#receiving = options.receiving;
  }

  /** A promise when the next frame has to wait for it. @throws AmqpError */
  handle(frame: Extract<Frame, { channel: number }>): Promise<void> | undefined {
    if (frame.kind !== 'request') return this.#content(frame);
    if (this.#publishing)
      throw new AmqpError('UNEXPECTED_FRAME', `${frame.request.name} before the content of a publish`);
    return this.#request(frame.request);
  }

  /** The client reads again, or acknowledged something. */
  pump(): void {
    for (const queue of new Set([...this.#consumers.values()].map((consumer) => consumer.queue)))
      queue.pump();
  }

  /** Its consumers end, and what they did not acknowledge goes back. */
  close(): void {
    this.#closed = true;
    this.#publishing?.abandon();
    for (const consumer of this.#consumers.values()) consumer.queue.removeConsumer(consumer);
    this.#consumers.clear();
    this.#giveBackAll();
  }

  #request(request: Request): Promise<void> | undefined {
    switch (request.name) {
      case 'ExchangeDeclare':
        return this.#declareExchange(request.fields);
      case 'ExchangeDelete':
        return this.#deleteExchange(request.fields);
      case 'QueueDeclare':
        return this.#declareQueue(request.fields);
      case 'QueueBind':
        return this.#bind(request.fields);
      case 'QueueUnbind':
        return this.#unbind(request.fields);
      case 'QueuePurge':
        return this.#purge(request.fields);
      case 'QueueDelete':
        return this.#deleteQueue(request.fields);
      case 'BasicQos':
        return this.#qos(request.fields);
      case 'BasicConsume':
        return this.#consume(request.fields);
      case 'BasicCancel':
        return this.#cancel(request.fields);
      case 'BasicPublish':
        this.#publishing = new Publishing(request.fields, this.#receiving);
        return;
      case 'BasicGet':
        return this.#get(request.fields);
      case 'BasicAck':
        return this.#settle(request.fields, ({ queue, entry }) => queue.acknowledge(entry));
      case 'BasicNack':
        return this.#reject(request.fields);
      case 'BasicReject':
        return this.#reject({ ...request.fields, multiple: false });
      case 'BasicRecover':
        return this.#recover(request.fields);
      case 'ConfirmSelect':
        this.#confirms ??= new Confirms();
        return this.#answer('ConfirmSelectOk', {}, request.fields);
      case 'ChannelFlow':
        if (!request.fields.active) throw notImplemented('pause of deliveries by channel.flow');
        return this.#answer('ChannelFlowOk', { active: true });
      case 'ChannelOpen':
        throw new AmqpError('CHANNEL_ERROR', `channel ${this.#number} is open already`);
      case 'ChannelClose':
      case 'ChannelCloseOk':
      case 'ConnectionStartOk':
      case 'ConnectionTuneOk':
      case 'ConnectionOpen':
      case 'ConnectionClose':
      case 'ConnectionCloseOk':
        throw new AmqpError('COMMAND_INVALID', `${request.name} on channel ${this.#number}`);
    }
  }

  // -- definitions

  async #declareExchange(fields: RequestOf<'ExchangeDeclare'>): Promise<void> {
    const { exchange, type, passive, durable, autoDelete, internal } = fields;
    if (passive) this.#broker.exchange(exchange);
    else {
      if (!durable || autoDelete || internal)
        throw notImplemented('transient, self-deleting or internal exchange');
      refuseArguments(`exchange '${exchange}'`, fields.arguments);
      await this.#broker.declareExchange(exchange, type);
    }
    this.#answer('ExchangeDeclareOk', {}, fields);
  }

  async #deleteExchange(fields: RequestOf<'ExchangeDelete'>): Promise<void> {
    await this.#broker.deleteExchange(fields.exchange, fields);
    this.#answer('ExchangeDeleteOk', {}, fields);
  }

  async #declareQueue(fields: RequestOf<'QueueDeclare'>): Promise<void> {
    const { queue: name, passive, durable, exclusive, autoDelete } = fields;
    if (!passive) {
      if (!durable || exclusive || autoDelete)
        throw notImplemented(`transient, exclusive or self-deleting queue (queue '${name}')`);
      if (name === '') throw notImplemented('queues named by the server');
    }
    const queue = passive
      ? this.#broker.queue(name)
      : await this.#broker.declareQueue(name, fields.arguments);
    const { readyCount: messageCount, consumerCount } = queue;
    this.#answer('QueueDeclareOk', { queue: name, messageCount, consumerCount }, fields);
  }

  async #bind(fields: RequestOf<'QueueBind'>): Promise<void> {
    const { exchange, queue, routingKey } = fields;
    refuseArguments(`binding of queue '${queue}'`, fields.arguments);
    await this.#broker.bind({ exchange, queue, routingKey });
    this.#answer('QueueBindOk', {}, fields);
  }

  async #unbind({ exchange, queue, routingKey }: RequestOf<'QueueUnbind'>): Promise<void> {
    await this.#broker.unbind({ exchange, queue, routingKey });
    this.#answer('QueueUnbindOk', {});
  }

  async #purge(fields: RequestOf<'QueuePurge'>): Promise<void> {
    const messageCount = await this.#broker.queue(fields.queue).purge();
    this.#answer('QueuePurgeOk', { messageCount }, fields);
  }

  async #deleteQueue(fields: RequestOf<'QueueDelete'>): Promise<void> {
    const messageCount = await this.#broker.deleteQueue(fields.queue, fields);
    this.#answer('QueueDeleteOk', { messageCount }, fields);
  }

  // -- publishing

  #content(frame: Extract<Frame, { kind: 'header' | 'body' }>): Promise<void> | undefined {
    if (!this.#publishing) throw new AmqpError('UNEXPECTED_FRAME', 'content without a publish');
    const publish = this.#publishing.take(frame);
    if (!publish) return undefined;
    this.#publishing = undefined;
    this.#publish(publish);
    return this.#broker.pressure.room();
  }

  #publish({ message, mandatory, ttlMs }: Publish): void {
    const queues = this.#broker.route(message.exchange, message.routingKey);
    const sequence = this.#confirms?.expect();
    if (queues.length === 0) {
      if (mandatory) this.#return(message);
      this.#confirm(sequence, true);
      return;
    }
    void Promise.all(queues.map((queue) => queue.publish(message, ttlMs))).then((taken) =>
      this.#confirm(sequence, !taken.includes(false)),
    );
  }

  #return(message: Message): void {
    const { exchange, routingKey } = message;
    this.#send('BasicReturn', { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey }, message);
  }

  #confirm(sequence: number | undefined, accepted: boolean): void {
    if (sequence === undefined || !this.#confirms) return;
    this.#confirms.settle(sequence, accepted);
    if (this.#tellingConfirms) return;
    this.#tellingConfirms = true;
    // Together with all that are on disk by the same sync.
    setImmediate(() => {
      this.#tellingConfirms = false;
      for (const { name, fields } of this.#confirms?.take() ?? []) this.#answer(name, fields);
    });
  }

  // -- consuming

  #qos({ prefetchSize, prefetchCount, global }: RequestOf<'BasicQos'>): undefined {
    if (global || prefetchSize !== 0) throw notImplemented('prefetch by size or for a whole channel');
    this.#prefetch = prefetchCount;
    this.#answer('BasicQosOk', {});
  }

  #consume(fields: RequestOf<'BasicConsume'>): undefined {
    const queue = this.#broker.queue(fields.queue);
    if (fields.exclusive) throw notImplemented('exclusive consumer');
    refuseArguments(`consumer of queue '${fields.queue}'`, fields.arguments);
    if (this.#consumers.size >= limits.consumersPerChannel)
      throw new AmqpError('RESOURCE_ERROR', `more than ${limits.consumersPerChannel} consumers on a channel`);
    const tag =
      fields.consumerTag === '' ? `amq.ctag-${this.#number}-${++this.#lastConsumer}` : fields.consumerTag;
    if (this.#consumers.has(tag))
      throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    const consumer = this.#createConsumer(tag, queue, fields.noAck);
    this.#consumers.set(tag, consumer);
    // Before its first delivery.
    this.#answer('BasicConsumeOk', { consumerTag: tag }, fields);
    queue.addConsumer(consumer);
  }

  #createConsumer(tag: string, queue: Queue, noAck: boolean): ChannelConsumer {
    const prefetch = this.#prefetch === 0 || noAck ? Infinity : this.#prefetch;
    const consumer: ChannelConsumer = {
      tag,
      queue,
      unacknowledged: 0,
      hasRoom: () => consumer.unacknowledged < prefetch && this.#peer.hasRoom(),
      deliver: (_queue, entry, message) => {
        if (this.#consumers.get(tag) !== consumer) return false;
        const deliveryTag = this.#hand(noAck, { queue, entry, consumer });
        const { redelivered } = entry;
        const { exchange, routingKey } = message;
        this.#send(
          'BasicDeliver',
          { consumerTag: tag, deliveryTag, redelivered, exchange, routingKey },
          { properties: propertiesFor(queue, entry, message), body: message.body },
        );
        return true;
      },
      queueGone: () => {
        this.#consumers.delete(tag);
        this.#answer('BasicCancel', { consumerTag: tag, nowait: true });
      },
    };
    return consumer;
  }

  /** The message is the client's now. @returns its delivery tag. */
  #hand(noAck: boolean, delivery: Unacknowledged): number {
    this.#lastDeliveryTag += 1;
    if (noAck) delivery.queue.acknowledge(delivery.entry);
    else {
      this.#unacknowledged.set(this.#lastDeliveryTag, delivery);
      if (delivery.consumer) delivery.consumer.unacknowledged += 1;
    }
    return this.#lastDeliveryTag;
  }

  #cancel(fields: RequestOf<'BasicCancel'>): undefined {
    const consumer = this.#consumers.get(fields.consumerTag);
    this.#consumers.delete(fields.consumerTag);
    consumer?.queue.removeConsumer(consumer);
    this.#answer('BasicCancelOk', { consumerTag: fields.consumerTag }, fields);
  }

  async #get({ queue: name, noAck }: RequestOf<'BasicGet'>): Promise<void> {
    const queue = this.#broker.queue(name);
    const got = await queue.get();
    if (!got) return this.#answer('BasicGetEmpty', {});
    const { entry, message } = got;
    if (this.#closed) return queue.untake(entry);
    const deliveryTag = this.#hand(noAck, { queue, entry, consumer: undefined });
    const { redelivered } = entry;
    const { exchange, routingKey } = message;
    this.#send(
      'BasicGetOk',
      { deliveryTag, redelivered, exchange, routingKey, messageCount: queue.readyCount },
      { properties: propertiesFor(queue, entry, message), body: message.body },
    );
  }

  // -- settling

  #reject(fields: { deliveryTag: number; multiple: boolean; requeue: boolean }): undefined {
    this.#settle(fields, ({ queue, entry }) => {
      if (fields.requeue) queue.giveBack(entry);
      else queue.refuse(entry);
    });
  }

  #settle(
    { deliveryTag, multiple }: { deliveryTag: number; multiple: boolean },
    settle: (delivery: Unacknowledged) => void,
  ): undefined {
    const deliveries = multiple ? this.#takeUpTo(deliveryTag) : this.#takeOne(deliveryTag);
    for (const delivery of deliveries) {
      if (delivery.consumer) delivery.consumer.unacknowledged -= 1;
      settle(delivery);
    }
    for (const queue of new Set(deliveries.map((delivery) => delivery.queue))) queue.pump();
  }

  #takeOne(tag: number): Unacknowledged[] {
    const delivery = this.#unacknowledged.get(tag);
    if (!delivery) throw unknownTag(tag);
    this.#unacknowledged.delete(tag);
    return [delivery];
  }

  /** 0 is all there are. */
  #takeUpTo(tag: number): Unacknowledged[] {
    // Before anything is taken: what is taken by a wrong request would be lost.
    if (tag > this.#lastDeliveryTag) throw unknownTag(tag);
    const taken: Unacknowledged[] = [];
    for (const [other, delivery] of this.#unacknowledged) {
      if (tag !== 0 && other > tag) break;
      taken.push(delivery);
      this.#unacknowledged.delete(other);
    }
    if (tag !== 0 && taken.length === 0) throw unknownTag(tag);
    return taken;
  }

  #recover({ requeue }: RequestOf<'BasicRecover'>): undefined {
    if (!requeue) throw notImplemented('recovery to the same consumer');
    this.#giveBackAll();
    this.#answer('BasicRecoverOk', {});
  }

  #giveBackAll(): void {
    if (this.#unacknowledged.size > 0)
      this.#settle({ deliveryTag: 0, multiple: true }, ({ queue, entry }) => queue.giveBack(entry));
  }

  // -- answering

  #answer(name: AnswerName, fields: object, { nowait = false } = {}): undefined {
    if (!this.#closed && !nowait) this.#peer.send([encodeAnswer(this.#number, name, fields)]);
  }

  #send(name: AnswerName, fields: object, content: { properties: Buffer; body: Buffer }): void {
    this.#peer.send([
      encodeAnswer(this.#number, name, fields),
      ...contentFrames(this.#number, this.#peer.frameBytesMax, content),
    ]);
  }
}

/** As its publisher sent them; a quorum queue adds how often the message came back. */
function propertiesFor(queue: Queue, entry: QueuedMessage, message: Message): Buffer {
  if (queue.settings.kind !== 'quorum' || entry.returns === 0) return message.properties;
  const properties = decodeProperties(message.properties);
  return encodeProperties({
    ...properties,
    headers: { ...properties.headers, 'x-delivery-count': { '!': 'long', value: entry.returns } },
  });
}

function refuseArguments(what: string, table: object): void {
  const [name] = Object.keys(table);
  if (name !== undefined) throw notImplemented(`argument '${name}' (${what})`);
}

function unknownTag(tag: number): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
}
