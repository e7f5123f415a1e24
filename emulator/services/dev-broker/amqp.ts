// AMQP 0-9-1 as bytes: frames in, requests out, and answers back into frames. The encoding of methods, tables and
// properties is amqplib's own generated codec; here are the types it lacks and the cutting of frames. Knows nothing
// of exchanges, queues or connections.
import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AmqpError } from './amqp-error.ts';
import { limits } from './limits.ts';

/** Values as amqplib decodes them; `{ '!': type, value }` names a type that JavaScript does not have. */
export type Table = Record<string, unknown>;
export interface Properties {
  readonly headers?: Table;
  readonly deliveryMode?: number;
  readonly expiration?: string;
  readonly messageId?: string;
}

/** What a client may ask of this broker. Every other method is answered with NOT_IMPLEMENTED. */
interface Requests {
  ConnectionStartOk: { clientProperties: Table; mechanism: string; response: Buffer };
  ConnectionTuneOk: { channelMax: number; frameMax: number; heartbeat: number };
  ConnectionOpen: { virtualHost: string };
  ConnectionClose: { replyCode: number; replyText: string };
  ConnectionCloseOk: object;
  ChannelOpen: object;
  ChannelFlow: { active: boolean };
  ChannelClose: { replyCode: number; replyText: string };
  ChannelCloseOk: object;
  ExchangeDeclare: {
    exchange: string;
    type: string;
    passive: boolean;
    durable: boolean;
    autoDelete: boolean;
    internal: boolean;
    nowait: boolean;
    arguments: Table;
  };
  ExchangeDelete: { exchange: string; ifUnused: boolean; nowait: boolean };
  QueueDeclare: {
    queue: string;
    passive: boolean;
    durable: boolean;
    exclusive: boolean;
    autoDelete: boolean;
    nowait: boolean;
    arguments: Table;
  };
  QueueBind: { queue: string; exchange: string; routingKey: string; nowait: boolean; arguments: Table };
  QueueUnbind: { queue: string; exchange: string; routingKey: string; arguments: Table };
  QueuePurge: { queue: string; nowait: boolean };
  QueueDelete: { queue: string; ifUnused: boolean; ifEmpty: boolean; nowait: boolean };
  BasicQos: { prefetchSize: number; prefetchCount: number; global: boolean };
  BasicConsume: {
    queue: string;
    consumerTag: string;
    noLocal: boolean;
    noAck: boolean;
    exclusive: boolean;
    nowait: boolean;
    arguments: Table;
  };
  BasicCancel: { consumerTag: string; nowait: boolean };
  BasicPublish: { exchange: string; routingKey: string; mandatory: boolean; immediate: boolean };
  BasicGet: { queue: string; noAck: boolean };
  BasicAck: { deliveryTag: number; multiple: boolean };
  BasicNack: { deliveryTag: number; multiple: boolean; requeue: boolean };
  BasicReject: { deliveryTag: number; requeue: boolean };
  BasicRecover: { requeue: boolean };
  ConfirmSelect: { nowait: boolean };
}
export type Request = {
  [Name in keyof Requests]: { readonly name: Name; readonly fields: Readonly<Requests[Name]> };
}[keyof Requests];
export type RequestOf<Name extends keyof Requests> = Extract<Request, { name: Name }>['fields'];

const requestNames: ReadonlySet<string> = new Set<keyof Requests>([
  'ConnectionStartOk',
  'ConnectionTuneOk',
  'ConnectionOpen',
  'ConnectionClose',
  'ConnectionCloseOk',
  'ChannelOpen',
  'ChannelFlow',
  'ChannelClose',
  'ChannelCloseOk',
  'ExchangeDeclare',
  'ExchangeDelete',
  'QueueDeclare',
  'QueueBind',
  'QueueUnbind',
  'QueuePurge',
  'QueueDelete',
  'BasicQos',
  'BasicConsume',
  'BasicCancel',
  'BasicPublish',
  'BasicGet',
  'BasicAck',
  'BasicNack',
  'BasicReject',
  'BasicRecover',
  'ConfirmSelect',
]);

const answerNames = [
  'ConnectionStart',
  'ConnectionTune',
  'ConnectionOpenOk',
  'ConnectionClose',
  'ConnectionCloseOk',
  'ChannelOpenOk',
  'ChannelFlowOk',
  'ChannelClose',
  'ChannelCloseOk',
  'ExchangeDeclareOk',
  'ExchangeDeleteOk',
  'QueueDeclareOk',
  'QueueBindOk',
  'QueueUnbindOk',
  'QueuePurgeOk',
  'QueueDeleteOk',
  'BasicQosOk',
  'BasicConsumeOk',
  'BasicCancel',
  'BasicCancelOk',
  'BasicReturn',
  'BasicDeliver',
  'BasicGetOk',
  'BasicGetEmpty',
  'BasicAck',
  'BasicNack',
  'BasicRecoverOk',
  'ConfirmSelectOk',
] as const;
export type AnswerName = (typeof answerNames)[number];

type Codec = {
  decode(id: number, bytes: Buffer): Record<string, unknown>;
  encodeMethod(id: number, channel: number, fields: object): Buffer;
  encodeProperties(id: number, channel: number, bodyBytes: number, properties: object): Buffer;
  info(id: number): { readonly name: string };
} & Readonly<Record<AnswerName, number>>;

// The package's `exports` hide the codec, so it is reached by its path; package.json pins the exact version.
const require = createRequire(import.meta.url);
const codec = require(join(dirname(require.resolve('amqplib')), 'lib', 'defs.js')) as Codec;

const frameTypes = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;
const frameEnd = 0xce;
/** Type, channel and size before the payload; the end mark after it. */
const frameHeadBytes = 7;
const frameOverhead = frameHeadBytes + 1;
const basicClass = 60;
/** Class, weight and body size, which a content header frame has before its properties. */
const contentHeadBytes = 12;
/** Before the properties themselves: which there are. */
const propertyFlagsBytes = 2;

export const protocolHeader = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
export const heartbeatFrame = frame(frameTypes.heartbeat, 0, []);

export type Frame =
  | { readonly kind: 'request'; readonly channel: number; readonly request: Request }
  | {
      readonly kind: 'header';
      readonly channel: number;
      readonly bodyBytes: number;
      readonly properties: Buffer;
    }
  | { readonly kind: 'body'; readonly channel: number; readonly bytes: Buffer }
  | { readonly kind: 'heartbeat' };

/** Cuts what a socket gives into frames. Holds one incomplete frame at most, when it is asked for all others. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Lower until the client has logged in. */
  frameBytesMax: number;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The 8 bytes a client begins with, or undefined when they have not arrived. */
  takeProtocolHeader(): Buffer | undefined {
    return this.#take(protocolHeader.length);
  }

  /** @throws AmqpError for a frame that is too large, broken, or of a method that there is not. */
  next(): Frame | undefined {
    if (this.#bytes < frameHeadBytes) return undefined;
    const head = this.#peek(frameHeadBytes);
    const payloadBytes = head.readUInt32BE(3);
    if (payloadBytes + frameOverhead > this.frameBytesMax)
      throw new AmqpError(
        'FRAME_ERROR',
        `a frame of ${payloadBytes + frameOverhead} bytes; ${this.frameBytesMax} were agreed on`,
      );
    const whole = this.#take(payloadBytes + frameOverhead);
    if (whole === undefined) return undefined;
    if (whole[whole.length - 1] !== frameEnd)
      throw new AmqpError('FRAME_ERROR', 'a frame does not end with 206');
    return decodeFrame(whole);
  }

  #peek(bytes: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= bytes) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(bytes: number): Buffer | undefined {
    if (this.#bytes < bytes) return undefined;
    const joined = this.#peek(bytes);
    this.#bytes -= bytes;
    if (joined.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = joined.subarray(bytes);
    return joined.subarray(0, bytes);
  }
}

function decodeFrame(whole: Buffer): Frame {
  const channel = whole.readUInt16BE(1);
  const payload = whole.subarray(frameHeadBytes, -1);
  switch (whole[0]) {
    case frameTypes.method:
      return { kind: 'request', channel, request: decodeRequest(payload) };
    case frameTypes.header:
      if (payload.length < contentHeadBytes + 2 || payload.readUInt16BE(0) !== basicClass)
        throw new AmqpError('SYNTAX_ERROR', 'a broken content header');
      return {
        kind: 'header',
        channel,
        bodyBytes: Number(payload.readBigUInt64BE(4)),
        properties: payload.subarray(contentHeadBytes),
      };
    case frameTypes.body:
      return { kind: 'body', channel, bytes: payload };
    case frameTypes.heartbeat:
      return { kind: 'heartbeat' };
    default:
      throw new AmqpError('FRAME_ERROR', `an unknown frame type ${whole[0]}`);
  }
}

function decodeRequest(payload: Buffer): Request {
  if (payload.length < 4) throw new AmqpError('SYNTAX_ERROR', 'a method frame without a method');
  const id = payload.readUInt32BE(0);
  const name = methodName(id);
  if (!requestNames.has(name))
    throw new AmqpError('NOT_IMPLEMENTED', `the development broker has no ${name}`);
  try {
    return { name, fields: codec.decode(id, payload.subarray(4)) } as unknown as Request;
  } catch (cause) {
    throw broken(`arguments of ${name}`, cause);
  }
}

function methodName(id: number): string {
  try {
    return codec.info(id).name;
  } catch {
    return `method ${id >>> 16}.${id & 0xffff}`; // The codec throws for one that AMQP does not have.
  }
}

function broken(what: string, cause: unknown): AmqpError {
  const error = new AmqpError('SYNTAX_ERROR', `broken ${what}`);
  error.cause = cause;
  return error;
}

export function encodeAnswer(channel: number, name: AnswerName, fields: object): Buffer {
  return codec.encodeMethod(codec[name], channel, fields);
}

/** @throws AmqpError when the bytes are no properties. */
export function decodeProperties(properties: Buffer): Properties {
  try {
    const { headers, ...others } = codec.decode(basicClass, properties) as Properties;
    return headers === undefined ? others : { ...others, headers: encodable(headers) as Table };
  } catch (cause) {
    throw broken('properties', cause);
  }
}

export function encodeProperties(properties: Properties): Buffer {
  return codec.encodeProperties(basicClass, 0, 0, properties).subarray(frameHeadBytes + contentHeadBytes, -1);
}

/**
 * Whoever adds a header to a message encodes all of them again, and the codec cannot write all that it reads: names that
 * grow because they are no UTF-8, a table with the key `!`.
 * @throws AmqpError for what may not be taken because of that. `decoded`: the same.
 */
export function refuseUnencodable(properties: Buffer, decoded: Properties): void {
  const values = Object.values(decoded.headers ?? {});
  if (values.every((value) => isPlain(value)) && isUtf8(properties.subarray(propertyFlagsBytes))) return;
  let bytes: number;
  try {
    bytes = encodeProperties(decoded).length;
  } catch (cause) {
    const error = new AmqpError('PRECONDITION_FAILED', 'properties that the development broker cannot write');
    error.cause = cause;
    throw error;
  }
  if (bytes > limits.propertiesBytesWritten)
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `properties of ${bytes} bytes as written again; the most is ${limits.propertiesBytesWritten}`,
    );
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);
}

const int64Min = -(2 ** 63);

/** The codec takes a large double for a whole number of 64 bits, and throws where it is none. */
function encodable(value: unknown): unknown {
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= int64Min ? value : { '!': 'double', value };
  if (Array.isArray(value)) return value.map(encodable);
  // A type that JavaScript does not have is named by `!`: it stays as it is.
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value) || '!' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, encodable(inner)]));
}

/** The frames of a message after the method that announces it. */
export function contentFrames(
  channel: number,
  frameBytesMax: number,
  { properties, body }: { properties: Buffer; body: Buffer },
): Buffer[] {
  const head = Buffer.alloc(contentHeadBytes);
  head.writeUInt16BE(basicClass, 0);
  head.writeBigUInt64BE(BigInt(body.length), 4);
  const frames = [frame(frameTypes.header, channel, [head, properties])];
  const partBytes = frameBytesMax - frameOverhead;
  for (let offset = 0; offset < body.length; offset += partBytes)
    frames.push(frame(frameTypes.body, channel, [body.subarray(offset, offset + partBytes)]));
  return frames;
}

function frame(type: number, channel: number, parts: readonly Buffer[]): Buffer {
  const payloadBytes = parts.reduce((bytes, part) => bytes + part.length, 0);
  const whole = Buffer.allocUnsafe(payloadBytes + frameOverhead);
  whole.writeUInt8(type, 0);
  whole.writeUInt16BE(channel, 1);
  whole.writeUInt32BE(payloadBytes, 3);
  let offset = frameHeadBytes;
  for (const part of parts) offset += part.copy(whole, offset);
  whole.writeUInt8(frameEnd, offset);
  return whole;
}
