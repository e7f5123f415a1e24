// The bytes of one datagram: header, AES-256-GCM, keys. docs/protocol.md says them in words, with vectors.
// Pure: no socket, no clock, no randomness, and no memory of what was seen (that is sessions.ts).
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';

const protocolVersion = 1;
const magic = 0xb7;
const headerLength = 68;
const tagLength = 16;
/** Stays below every path MTU, so that no datagram is ever fragmented. */
export const packetLengthMax = 1_200;
export const bodyLengthMax = packetLengthMax - headerLength - tagLength;

/** What a packet carries. `greet` and `greeting` travel over TCP (evidence.ts), the rest over UDP. */
const packetTypes = {
  message: 1,
  challenge: 2,
  'challenge-answer': 3,
  greet: 4,
  greeting: 5,
} as const;
export type PacketType = keyof typeof packetTypes;
const typeNames = new Map<number, PacketType>(
  Object.entries(packetTypes).map(([name, number]) => [number, name as PacketType]),
);

export interface Header {
  readonly type: PacketType;
  /** The key this packet is sealed with, and the one its sender would rather use. */
  readonly keyId: number;
  readonly offeredKeyId: number;
  /** Eight bytes as 16 hex digits each: what two nodes must agree on, or recognise, before anything is decrypted. */
  readonly cluster: string;
  readonly generation: number;
  readonly members: string;
  readonly sender: string;
  readonly recipient: string;
  readonly boot: string;
  /** From 1, never twice in one boot: it is the nonce. */
  readonly counter: number;
}

export type HeaderProblem =
  'too-short' | 'too-long' | 'not-baton' | 'newer-version' | 'older-version' | 'malformed';

const fingerprint = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);
export const clusterFingerprint = (clusterId: string) => fingerprint(`baton cluster\n${clusterId}`);
export const nodeFingerprint = (nodeId: string) => fingerprint(`baton node\n${nodeId}`);
/** Ids and who votes; not the addresses, which may differ from one node's view to another's. */
export const membersFingerprint = (members: readonly { readonly id: string; readonly voter: boolean }[]) =>
  fingerprint(
    `baton members\n${members
      .map(({ id, voter }) => `${id} ${voter ? 'voter' : 'learner'}`)
      .sort()
      .join('\n')}`,
  );

/** One key per (cluster key, cluster, sender, boot): a counter that starts again at 1 never meets an old nonce. */
export function deriveKey(identity: {
  clusterKey: Buffer;
  clusterId: string;
  sender: string;
  boot: string;
}): KeyObject {
  const info = `baton datagram v${protocolVersion}\n${identity.sender}\n${identity.boot}`;
  // A KeyObject, because Node takes four times as long to make a cipher from the same bytes in a Buffer.
  return createSecretKey(Buffer.from(hkdfSync('sha256', identity.clusterKey, identity.clusterId, info, 32)));
}

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(counter), 4);
  return nonce;
}

/** @throws RangeError when the body is too long or the counter not a safe positive integer: a bug of ours. */
export function seal({ header, body, key }: { header: Header; body: Buffer; key: KeyObject }): Buffer {
  if (body.length > bodyLengthMax)
    throw new RangeError(`a body of ${body.length} bytes, at most ${bodyLengthMax}`);
  if (!Number.isSafeInteger(header.counter) || header.counter < 1)
    throw new RangeError(`counter ${header.counter} cannot be a nonce`);
  const packet = Buffer.alloc(headerLength + body.length + tagLength);
  packet[0] = magic;
  packet[1] = protocolVersion;
  packet[2] = packetTypes[header.type];
  packet[3] = header.keyId;
  packet[4] = header.offeredKeyId;
  packet.write(header.cluster, 8, 8, 'hex');
  packet.writeUInt32BE(header.generation, 16);
  packet.write(header.members, 20, 8, 'hex');
  packet.write(header.sender, 28, 8, 'hex');
  packet.write(header.recipient, 36, 8, 'hex');
  packet.write(header.boot, 44, 16, 'hex');
  packet.writeBigUInt64BE(BigInt(header.counter), 60);
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header.counter));
  cipher.setAAD(packet.subarray(0, headerLength));
  cipher.update(body).copy(packet, headerLength);
  cipher.final();
  cipher.getAuthTag().copy(packet, headerLength + body.length);
  return packet;
}

/** Reads what stands in clear. Nothing of it is to be believed before `open` succeeds. */
export function readHeader(packet: Buffer): Header | HeaderProblem {
  if (packet.length > packetLengthMax) return 'too-long';
  if (packet.length < headerLength + tagLength) return 'too-short';
  if (packet[0] !== magic) return 'not-baton';
  const version = packet.readUInt8(1);
  if (version > protocolVersion) return 'newer-version';
  if (version < protocolVersion) return 'older-version';
  const type = typeNames.get(packet.readUInt8(2));
  const counter = packet.readBigUInt64BE(60);
  if (!type || counter < 1n || counter > BigInt(Number.MAX_SAFE_INTEGER)) return 'malformed';
  return {
    type,
    keyId: packet.readUInt8(3),
    offeredKeyId: packet.readUInt8(4),
    cluster: packet.toString('hex', 8, 16),
    generation: packet.readUInt32BE(16),
    members: packet.toString('hex', 20, 28),
    sender: packet.toString('hex', 28, 36),
    recipient: packet.toString('hex', 36, 44),
    boot: packet.toString('hex', 44, 60),
    counter: Number(counter),
  };
}

/** The body, or undefined when one bit of header or body is not what the holder of `key` sealed. */
export function open({
  packet,
  counter,
  key,
}: {
  packet: Buffer;
  counter: number;
  key: KeyObject;
}): Buffer | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(counter), { authTagLength: tagLength });
  decipher.setAAD(packet.subarray(0, headerLength));
  decipher.setAuthTag(packet.subarray(packet.length - tagLength));
  const body = decipher.update(packet.subarray(headerLength, packet.length - tagLength));
  try {
    decipher.final();
    return body;
  } catch {
    // The only error final() has here is a wrong tag.
    return undefined;
  }
}
