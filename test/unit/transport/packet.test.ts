// The bytes themselves, against vectors that were computed without this code (docs/protocol.md says how).
import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  bodyLengthMax,
  clusterFingerprint,
  deriveKey,
  membersFingerprint,
  nodeFingerprint,
  open,
  packetLengthMax,
  readHeader,
  seal,
  type Header,
} from '../../../nodes/transport/packet.ts';
import { ReplayWindow, replayWindowSize } from '../../../nodes/transport/replay-window.ts';
import { clusterKeysSchema } from '../../../contracts/secrets.ts';

const protocol = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');
function vector(name: string): string {
  const value = new RegExp(`^${name} +(\\S+)$`, 'm').exec(protocol)?.[1];
  if (!value) throw new Error(`docs/protocol.md has no vector ${name}`);
  return value;
}

const boot = '000102030405060708090a0b0c0d0e0f';
const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
const clusterKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const header: Header = {
  type: 'message',
  keyId: 3,
  offeredKeyId: 3,
  cluster: clusterFingerprint(clusterId),
  generation: 2,
  members: membersFingerprint([
    { id: 'node-4', voter: false },
    { id: 'node-1', voter: true },
    { id: 'node-3', voter: true },
    { id: 'node-2', voter: true },
  ]),
  sender: nodeFingerprint('node-1'),
  recipient: nodeFingerprint('node-2'),
  boot,
  counter: 7,
};

test('protocol: key, header and datagram are those of docs/protocol.md', () => {
  const key = deriveKey({ clusterKey, clusterId, sender: 'node-1', boot });
  expect(key.export().toString('hex')).toBe(vector('key'));
  const body = Buffer.from(vector('body'));
  const packet = seal({ header, body, key });
  expect(packet.toString('hex')).toBe(vector('packet'));
  expect(readHeader(packet)).toEqual(header);
  expect(open({ packet, counter: 7, key })).toEqual(body);
});

test('protocol: another sender, boot, cluster or cluster key gives another key', () => {
  const base = { clusterKey, clusterId, sender: 'node-1', boot };
  const keys = [
    base,
    { ...base, sender: 'node-2' },
    { ...base, boot: boot.replace('00', '01') },
    { ...base, clusterId: clusterId.replace('6', '7') },
    { ...base, clusterKey: Buffer.alloc(32) },
  ].map((identity) => deriveKey(identity).export().toString('hex'));
  expect(new Set(keys).size).toBe(5);
});

test('protocol: a body that does not fit and a counter that cannot be a nonce are refused when sealing', () => {
  const key = createSecretKey(Buffer.alloc(32));
  expect(seal({ header, body: Buffer.alloc(bodyLengthMax), key })).toHaveLength(packetLengthMax);
  expect(() => seal({ header, body: Buffer.alloc(bodyLengthMax + 1), key })).toThrow(RangeError);
  expect(() => seal({ header: { ...header, counter: 0 }, body: Buffer.alloc(0), key })).toThrow(RangeError);
  expect(() => seal({ header: { ...header, counter: 2 ** 53 }, body: Buffer.alloc(0), key })).toThrow(
    RangeError,
  );
});

test('protocol: a counter at the top of its range, 2^53-1, is read exactly and one above is malformed', () => {
  const key = createSecretKey(Buffer.alloc(32, 7));
  const packet = seal({
    header: { ...header, counter: Number.MAX_SAFE_INTEGER },
    body: Buffer.alloc(0),
    key,
  });
  expect(readHeader(packet)).toMatchObject({ counter: Number.MAX_SAFE_INTEGER });
  packet.writeBigUInt64BE(2n ** 53n, 60);
  expect(readHeader(packet)).toBe('malformed');
});

test('replay window: against a plain set of everything seen, over 20,000 shuffled counters', () => {
  const window = new ReplayWindow(5);
  const seen = new Set([1, 2, 3, 4, 5]);
  let highest = 5;
  let seed = 7;
  for (let round = 0; round < 20_000; round++) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const jump = seed % 97 === 0 ? 3_000 : 0;
    const counter = Math.max(1, highest + jump + 3 - (seed % 1_300));
    const fresh = !seen.has(counter) && counter > highest - replayWindowSize;
    expect(window.isFresh(counter), `counter ${counter}, highest ${highest}`).toBe(fresh);
    if (!fresh) continue;
    window.accept(counter);
    seen.add(counter);
    highest = Math.max(highest, counter);
  }
});

test('cluster keys: 31 bytes, text that is not base64 and two keys with one id are refused', () => {
  const key = Buffer.alloc(32).toString('base64');
  expect(clusterKeysSchema.safeParse({ current: { id: 1, key } }).success).toBe(true);
  const wrong = [
    { current: { id: 1, key: Buffer.alloc(31).toString('base64') } },
    { current: { id: 1, key: 'not base64!' } },
    { current: { id: 1, key }, previous: { id: 1, key } },
    { current: { id: 256, key } },
    {},
  ];
  for (const keys of wrong) expect(clusterKeysSchema.safeParse(keys).success).toBe(false);
});
