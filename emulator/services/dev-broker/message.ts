// A message as the broker keeps it: what its publisher sent, unchanged and in one piece of memory, so that the same
// bytes lie in every queue, in the journal and on the wire. Knows nothing of queues.

export interface Message {
  readonly exchange: string;
  readonly routingKey: string;
  /** As sent in the content header; decoded only by who needs to look into them. */
  readonly properties: Buffer;
  readonly body: Buffer;
  /** All of the above. */
  readonly encoded: Buffer;
}

/** Copies everything, so that no network buffer is held as long as the message. */
export function createMessage({
  exchange,
  routingKey,
  properties,
  bodyParts,
}: {
  exchange: string;
  routingKey: string;
  properties: Buffer;
  bodyParts: readonly Buffer[];
}): Message {
  const [exchangeBytes, routingKeyBytes] = [Buffer.from(exchange), Buffer.from(routingKey)];
  // Both names are short strings of the protocol: 255 bytes at most.
  const head = Buffer.alloc(6);
  head.writeUInt8(exchangeBytes.length, 0);
  head.writeUInt8(routingKeyBytes.length, 1);
  head.writeUInt32BE(properties.length, 2);
  return decodeMessage(Buffer.concat([head, exchangeBytes, routingKeyBytes, properties, ...bodyParts]));
}

export function decodeMessage(encoded: Buffer): Message {
  const exchangeEnd = 6 + encoded.readUInt8(0);
  const routingKeyEnd = exchangeEnd + encoded.readUInt8(1);
  const propertiesEnd = routingKeyEnd + encoded.readUInt32BE(2);
  return {
    exchange: encoded.toString('utf8', 6, exchangeEnd),
    routingKey: encoded.toString('utf8', exchangeEnd, routingKeyEnd),
    properties: encoded.subarray(routingKeyEnd, propertiesEnd),
    body: encoded.subarray(propertiesEnd),
    encoded,
  };
}
