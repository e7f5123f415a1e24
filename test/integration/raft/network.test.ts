// The transport over real sockets: who hears whom, what a flood costs, and what counts as a death.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { ClusterKeys } from '../../../contracts/secrets.ts';
import type { Message } from '../../../nodes/raft/types.ts';
import { openNetwork, type Network } from '../../../nodes/transport/network.ts';
import { Sessions } from '../../../nodes/transport/sessions.ts';
import { pause } from '../../../runtime/waiting.ts';
import { freePorts } from '../../support/ports.ts';
import { until } from '../../support/until.ts';

const clusterId = '6f1c2d3e-4b5a-4978-8796-a5b4c3d2e1f0';
const keys = { current: { id: 1, key: Buffer.alloc(32, 1).toString('base64') } };
const message: Message = { kind: 'pre-vote-request', term: 1, generation: 1, round: 1 };

interface Node {
  readonly id: string;
  readonly boot: string;
  readonly network: Network;
  readonly heard: { from: string; fromBoot: string; message: Message }[];
  readonly deaths: { peer: string; boot: string; why: string }[];
  readonly problems: { code: string; detail: string }[];
}
const open = new Set<Network>();
afterEach(async () => {
  await Promise.all([...open].map((network) => network.close()));
  open.clear();
});
async function start(
  id: string,
  ports: readonly number[],
  over: {
    clusterId?: string;
    keys?: ClusterKeys;
    hosts?: readonly string[];
    addresses?: readonly number[];
  } = {},
): Promise<Node> {
  const boot = randomBytes(16).toString('hex');
  const node = { id, boot, heard: [], deaths: [], problems: [] } as Omit<Node, 'network'>;
  const network = await openNetwork({
    clusterId: over.clusterId ?? clusterId,
    generation: 1,
    members: ports.map((port, index) => ({
      id: `node-${index + 1}`,
      voter: true,
      udp: `${over.hosts?.[index] ?? '127.0.0.1'}:${over.addresses?.[index] ?? port}`,
    })),
    self: { id, boot },
    keys: over.keys ?? keys,
    bind: '127.0.0.1',
    port: ports[Number(id.slice(5)) - 1] ?? 0,
    heartbeatMs: 20,
    now: () => performance.now(),
    onMessage: (arrival) => node.heard.push(arrival),
    onDeath: (dead) => node.deaths.push(dead),
    onProblem: (problem) => node.problems.push(problem),
  });
  open.add(network);
  return { ...node, network };
}
async function stop(node: Node): Promise<void> {
  open.delete(node.network);
  await node.network.close();
}
const introduced = (node: Node, peer: string) =>
  until(() => node.network.lastContactMs(peer) !== null, 10_000, `${node.id} knows ${peer}`);
async function pair(): Promise<{ one: Node; two: Node; ports: number[] }> {
  const ports = await freePorts(2);
  const [one, two] = await Promise.all([start('node-1', ports), start('node-2', ports)]);
  await Promise.all([introduced(one, 'node-2'), introduced(two, 'node-1')]);
  return { one, two, ports };
}
async function watching(): Promise<{ leader: Node; follower: Node; ports: number[] }> {
  const { one: leader, two: follower, ports } = await pair();
  follower.network.watch({ peer: leader.id, boot: leader.boot });
  await until(() => follower.network.counters['evidence.greeted'], 10_000, 'greeting');
  return { leader, follower, ports };
}

describe('network: first contact', () => {
  test('two nodes introduce themselves and hear each other, whichever starts first', async () => {
    const ports = await freePorts(2);
    const one = await start('node-1', ports);
    await pause(50);
    const two = await start('node-2', ports);
    await Promise.all([introduced(one, 'node-2'), introduced(two, 'node-1')]);
    one.network.send('node-2', message);
    const heard = await until(() => two.heard[0], 10_000, 'message');
    expect(heard).toEqual({ kind: 'message', from: 'node-1', fromBoot: one.boot, message });
  });

  test('a peer whose name does not resolve and one whose port is closed cost nothing but counters', async () => {
    const ports = await freePorts(3);
    const one = await start('node-1', ports, { hosts: ['127.0.0.1', 'nowhere.invalid', '127.0.0.1'] });
    one.network.send('node-2', message);
    await until(() => one.network.counters['send-error.ECONNREFUSED'], 10_000, 'refusal');
    await until(() => one.network.counters['send-error.no-address'], 10_000, 'no address');
    const three = await start('node-3', ports, { hosts: ['127.0.0.1', 'nowhere.invalid', '127.0.0.1'] });
    await introduced(one, 'node-3');
    await introduced(three, 'node-1');
    one.network.send('node-3', message);
    expect(await until(() => three.heard[0], 10_000, 'message')).toMatchObject({ from: 'node-1', message });
  });

  test('a node of a foreign cluster is not heard, and people are told once', async () => {
    const ports = await freePorts(2);
    const one = await start('node-1', ports);
    await start('node-2', ports, { clusterId: '00000000-0000-4000-8000-000000000000' });
    await until(() => (one.network.counters['refused.foreign-cluster'] ?? 0) > 3, 10_000, 'refusals');
    expect(one.network.lastContactMs('node-2')).toBeNull();
    expect(one.problems).toEqual([
      { code: 'datagram.foreign-cluster', detail: expect.stringContaining('belongs to another cluster') },
    ]);
  });

  test('another key under the same id is told of on both sides, when it comes from the address of the peer', async () => {
    const ports = await freePorts(2);
    const typo = { current: { id: 1, key: Buffer.alloc(32, 2).toString('base64') } };
    const [one, two] = [await start('node-1', ports), await start('node-2', ports, { keys: typo })];
    for (const [node, peer] of [
      [one, 'node-2'],
      [two, 'node-1'],
    ] as const)
      expect(await until(() => node.problems[0], 10_000, 'a problem')).toEqual({
        code: 'datagram.forged',
        detail: `${peer} seals with another key than this node has under the same id: one of the two keys is not the cluster's (a new key needs a new id)`,
      });
  });

  test('a port that is taken is named', async () => {
    const { ports } = await pair();
    await expect(start('node-1', ports)).rejects.toThrow(`127.0.0.1:${ports[0]}`);
  });
});

describe('network: evidence of death', () => {
  test('the end of the leader’s process is known from its close, by boot', async () => {
    const { leader, follower } = await watching();
    await stop(leader);
    const dead = await until(() => follower.deaths[0], 10_000, 'death');
    expect(dead).toEqual({ peer: 'node-1', boot: leader.boot, why: 'its connection closed' });
  });

  test('a restarted follower sees no death, and neither does its leader', async () => {
    const { leader, follower, ports } = await watching();
    leader.network.watch({ peer: 'node-2', boot: follower.boot });
    leader.network.watch(undefined);
    await stop(follower);
    const again = await start('node-2', ports);
    await introduced(again, 'node-1');
    again.network.watch({ peer: 'node-1', boot: leader.boot });
    await until(() => again.network.counters['evidence.greeted'], 10_000, 'greeting');
    await pause(100);
    expect(again.deaths).toEqual([]);
    expect(
      leader.deaths.filter(({ why }) => !why.includes('another boot') && !why.includes('refused two')),
    ).toEqual([]);
  });

  test('a leader that restarts so fast that no timeout passes is still known to be another boot', async () => {
    const { leader, follower, ports } = await watching();
    await stop(leader);
    const again = await start('node-1', ports);
    await introduced(again, 'node-2');
    await until(() => follower.deaths.find(({ why }) => why.includes('another boot')), 10_000, 'other boot');
    expect(follower.deaths.every(({ boot }) => boot === leader.boot)).toBe(true);
  });

  test('two datagrams refused in a row are a death, for those who have no connection', async () => {
    const { one, two } = await pair();
    await stop(one);
    two.network.send('node-1', message);
    const dead = await until(() => two.deaths[0], 10_000, 'death');
    expect(dead).toEqual({ peer: 'node-1', boot: one.boot, why: 'its port refused two datagrams' });
  });

  test('a connection to something that does not greet as the leader’s boot is never a death', async () => {
    const { one, two } = await pair();
    two.network.watch({ peer: 'node-1', boot: randomBytes(16).toString('hex') });
    await pause(200);
    expect(two.network.counters['evidence.greeted']).toBeUndefined();
    expect(two.deaths).toEqual([]);
    expect(one.deaths).toEqual([]);
  });

  test('a port scanner, garbage and 200 silent connections leave the evidence of a follower alone', async () => {
    const { leader, follower, ports } = await watching();
    const port = ports[0] ?? 0;
    const closed: Promise<void>[] = [];
    for (let count = 0; count < 200; count++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      closed.push(new Promise((resolve) => socket.on('close', () => resolve())));
      if (count % 2 === 0) socket.write(randomBytes(4_000));
    }
    await Promise.all(closed);
    expect(follower.deaths).toEqual([]);
    expect(leader.network.counters['evidence.refused.garbage']).toBeGreaterThan(0);
    await stop(leader);
    await until(() => follower.deaths[0], 10_000, 'death');
  });
});

/** Passes UDP and TCP on to `target` from ports of its own, as the links of injected faults do, until it is cut. */
async function relay(port: number, target: number): Promise<{ cut(): void; close(): void }> {
  let cut = false;
  const inward = createSocket('udp4');
  const outward = createSocket('udp4');
  inward.on('message', (packet) => {
    if (!cut) outward.send(packet, target, '127.0.0.1');
  });
  await new Promise<void>((resolve) => inward.bind(port, '127.0.0.1', () => resolve()));
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => undefined);
      from.on('data', (bytes) => {
        if (!cut) to.write(bytes);
      });
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  return {
    cut: () => {
      cut = true;
    },
    close: () => {
      inward.close();
      outward.close();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('network: through relays', () => {
  test('peers are heard from addresses that nobody configured; a cut is no death, a real end is', async () => {
    const ports = await freePorts(4);
    const [one = 0, two = 0, toOne = 0, toTwo = 0] = ports;
    const links = await Promise.all([relay(toOne, one), relay(toTwo, two)]);
    const leader = await start('node-1', [one, two], { addresses: [one, toTwo] });
    const follower = await start('node-2', [one, two], { addresses: [toOne, two] });
    await Promise.all([introduced(leader, 'node-2'), introduced(follower, 'node-1')]);
    leader.network.send('node-2', message);
    await until(() => follower.heard[0], 10_000, 'message');
    follower.network.watch({ peer: 'node-1', boot: leader.boot });
    await until(() => follower.network.counters['evidence.greeted'], 10_000, 'greeting');

    for (const link of links) link.cut();
    leader.network.send('node-2', message);
    await pause(200);
    expect(follower.heard).toHaveLength(1);
    expect(follower.deaths).toEqual([]);

    await stop(leader);
    await until(() => follower.deaths[0], 10_000, 'death');
    expect(follower.deaths[0]).toMatchObject({ boot: leader.boot, why: 'its connection closed' });
    await stop(follower);
    for (const link of links) link.close();
  });
});

describe('network: flood', () => {
  test('20,000 datagrams of garbage, half of them with a copied header: real messages still arrive', async () => {
    const { one, two, ports } = await pair();
    const attacker = createSocket('udp4');
    // What an eavesdropper can make of a real datagram: its header with bytes of his own behind it.
    const copied = new Sessions({
      clusterId,
      generation: 1,
      members: [
        { id: 'node-1', voter: true },
        { id: 'node-2', voter: true },
      ],
      self: { id: 'node-1', boot: one.boot },
      keys,
      nonce: () => randomBytes(16),
    }).sealMessage('node-2', message);
    copied.writeBigUInt64BE(1_000_000n, 60);
    randomBytes(100).copy(copied, 68);
    const floodedFrom = performance.now();
    const flood = (async () => {
      for (let burst = 0; burst < 200; burst++) {
        for (let count = 0; count < 100; count++)
          attacker.send(count % 2 ? randomBytes(200) : copied, ports[1] ?? 0, '127.0.0.1');
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    let sent = 0;
    const sender = setInterval(() => {
      sent += 1;
      one.network.send('node-2', message);
    }, 5);
    await flood;
    await pause(100);
    clearInterval(sender);
    attacker.close();
    expect(sent).toBeGreaterThan(10);
    // The kernel drops what its buffer has no room for, which is nobody's choice here.
    await until(() => two.heard.length >= 0.9 * sent, 10_000, 'nine of ten that were sent');
    expect(two.heard.length).toBeLessThanOrEqual(sent);
    const { counters } = two.network;
    expect(counters['refused.not-baton']).toBeGreaterThan(0);
    // A tenth of a second’s budget at once and 2,500 opens a second after it, however fast this machine floods itself.
    const seconds = (performance.now() - floodedFrom) / 1_000;
    expect(counters['refused.forged']).toBeGreaterThan(0);
    expect(counters['refused.forged']).toBeLessThanOrEqual(2_500 * (seconds + 0.1) + 1);
    expect(two.problems.map(({ code }) => code)).not.toContain('datagram.forged');
  });
});
