// What the development broker holds at most, in one place. A client that reaches a limit is slowed down, refused or
// closed; nothing here grows with what is sent. Its memory stays below the sum of the byte limits plus about 200 bytes
// for each waiting message.
export const limits = {
  connections: 128,
  channelsPerConnection: 64,
  consumersPerChannel: 64,
  queues: 1_000,
  exchanges: 1_000,
  bindings: 10_000,
  /** Ready messages of a queue without x-max-length; one more is refused. */
  queueLength: 1_000_000,
  /** Bytes on disk of messages that are not settled; one more is refused. The files take twice that at most. */
  queueBytes: 8 * 1024 ** 3,
  messageBytes: 16 * 1024 * 1024,
  /** Properties of one message, as sent. The codec writes 64 KiB of headers at most, and x-death has to fit in beside them. */
  propertiesBytes: 24 * 1024,
  /** The same as the codec writes them: some values grow. */
  propertiesBytesWritten: 44 * 1024,
  /** Bodies that are being received, of all connections together. */
  receivingBytes: 128 * 1024 * 1024,
  /** Messages that wait for the disk: above it, their publishers' sockets are not read. */
  unwrittenBytes: 32 * 1024 * 1024,
  /** Messages kept in memory beside the disk; those above it are read from disk when they are delivered. */
  cachedBytes: 64 * 1024 * 1024,
  /** What a connection has not yet taken from us: above it, it gets no deliveries and its frames are not read. */
  unsentBytes: 1024 * 1024,
  /** Dead letters of one queue on their way to others at a time. */
  dyingMessages: 100,
  dyingBytes: 16 * 1024 * 1024,
  segmentBytes: 16 * 1024 * 1024,
  /** One write to a journal; a single larger message is written alone. */
  batchBytes: 8 * 1024 * 1024,
  frameBytes: 131_072,
  frameBytesBeforeLogin: 16_384,
} as const;

export const periods = {
  /** How long a client may take from the TCP connection to connection.open. */
  loginMs: 10_000,
  /** The period proposed to clients; they may ask for a shorter one or none. */
  heartbeatS: 60,
  /** A client that takes nothing from its socket for so long is cut off. */
  unsentMs: 60_000,
  /** How long a client may take to answer connection.close. */
  closeMs: 2_000,
  /** How long before a dead letter that no queue took is tried again. */
  deadLetterRetryMs: 1_000,
  /** Settled messages wait so long for company before they are written, unless a publish comes first. */
  settleMs: 5,
} as const;
