// A message on its way in: basic.publish, then its content header, then its body in parts, as one channel sends them.
// Refuses what is too large before it is received.
import { AmqpError, notImplemented } from './amqp-error.ts';
import { decodeProperties, refuseUnencodable, type Frame, type RequestOf } from './amqp.ts';
import { limits } from './limits.ts';
import { createMessage, type Message } from './message.ts';

/** What all connections together may have half received. */
export interface ReceivingBudget {
  bytesLeft: number;
}

export interface Publish {
  readonly mandatory: boolean;
  readonly message: Message;
  /** The message's own time to live. */
  readonly ttlMs: number | undefined;
}

type ContentFrame = Extract<Frame, { kind: 'header' | 'body' }>;

interface Content {
  readonly properties: Buffer;
  readonly ttlMs: number | undefined;
  readonly bodyBytes: number;
  readonly parts: Buffer[];
  bytesLeft: number;
}

export class Publishing {
  readonly #method: RequestOf<'BasicPublish'>;
  readonly #budget: ReceivingBudget;
  #content: Content | undefined;

  constructor(method: RequestOf<'BasicPublish'>, budget: ReceivingBudget) {
    if (method.immediate) throw notImplemented('immediate publishing');
    this.#method = method;
    this.#budget = budget;
  }

  /** @returns the message when this frame completes it. @throws AmqpError */
  take(frame: ContentFrame): Publish | undefined {
    if (frame.kind === 'header') this.#begin(frame);
    else this.#add(frame.bytes);
    return this.#content?.bytesLeft === 0 ? this.#complete(this.#content) : undefined;
  }

  /** Its channel is gone. */
  abandon(): void {
    this.#budget.bytesLeft += this.#content?.bodyBytes ?? 0;
    this.#content = undefined;
  }

  #begin({ properties, bodyBytes }: Extract<Frame, { kind: 'header' }>): void {
    if (this.#content) throw new AmqpError('UNEXPECTED_FRAME', 'a second content header');
    if (bodyBytes > limits.messageBytes)
      throw new AmqpError(
        'CONTENT_TOO_LARGE',
        `a message of ${bodyBytes} bytes; the most is ${limits.messageBytes}`,
      );
    if (properties.length > limits.propertiesBytes)
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `properties of ${properties.length} bytes; the most is ${limits.propertiesBytes}`,
      );
    const decoded = decodeProperties(properties);
    refuseUnencodable(properties, decoded);
    const { headers = {}, expiration } = decoded;
    for (const name of ['CC', 'BCC'])
      if (headers[name] !== undefined) throw notImplemented(`routing by the header ${name}`);
    const ttlMs = readExpiration(expiration);
    if (bodyBytes > this.#budget.bytesLeft)
      throw new AmqpError(
        'RESOURCE_ERROR',
        `bodies of ${limits.receivingBytes} bytes are being received already`,
      );
    this.#budget.bytesLeft -= bodyBytes;
    this.#content = { properties, ttlMs, bodyBytes, parts: [], bytesLeft: bodyBytes };
  }

  #add(bytes: Buffer): void {
    if (!this.#content) throw new AmqpError('UNEXPECTED_FRAME', 'a body before its content header');
    if (bytes.length > this.#content.bytesLeft)
      throw new AmqpError('FRAME_ERROR', 'a body longer than its content header says');
    this.#content.parts.push(bytes);
    this.#content.bytesLeft -= bytes.length;
  }

  #complete({ properties, parts, ttlMs }: Content): Publish {
    this.abandon();
    const { exchange, routingKey, mandatory } = this.#method;
    return {
      mandatory,
      message: createMessage({ exchange, routingKey, properties, bodyParts: parts }),
      ttlMs,
    };
  }
}

function readExpiration(expiration: string | undefined): number | undefined {
  if (expiration === undefined) return undefined;
  // Twelve digits of milliseconds are 31 years.
  if (!/^\d{1,12}$/.test(expiration))
    throw new AmqpError('PRECONDITION_FAILED', `invalid expiration '${expiration}'`);
  return Number(expiration);
}
