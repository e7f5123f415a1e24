// Names as Cloud Map gives them: one that does not resolve while its node is away, and another address after a restart.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { openUdp, type Udp } from '../../../nodes/transport/udp.ts';
import { freePorts } from '../../support/ports.ts';

/** What the name server says of node-2 at the moment; undefined: NXDOMAIN. */
let address: string | undefined;
vi.mock('node:dns/promises', () => ({
  lookup: async () => {
    if (address === undefined) throw Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' });
    return { address, family: 4 };
  },
}));

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function listenAt(host: string, port: number): Promise<{ socket: Socket; heard: string[] }> {
  const socket = createSocket('udp4');
  const heard: string[] = [];
  socket.on('message', (packet) => heard.push(packet.toString()));
  socket.bind(port, host);
  await once(socket, 'listening');
  open.push(socket);
  return { socket, heard };
}

test(
  'names: a peer is reached once its name resolves, and again at its next address',
  { timeout: 20_000 },
  async () => {
    const [own, peer] = (await freePorts(2)) as [number, number];
    const counts: Record<string, number> = {};
    address = undefined;
    const udp: Udp = await openUdp({
      bind: '127.0.0.1',
      port: own,
      peers: [{ id: 'node-2', host: 'node-2.baton-dev.internal', port: peer }],
      onDatagram: () => undefined,
      onRefused: () => undefined,
      count: (what) => (counts[what] = (counts[what] ?? 0) + 1),
    });
    open.push(udp);
    const first = await listenAt('127.0.0.1', peer);
    const second = await listenAt('127.0.0.2', peer);
    const reaches = async (heard: string[], packet: string) =>
      await expect
        .poll(() => {
          udp.send('node-2', Buffer.from(packet));
          return heard;
        })
        .toContain(packet);

    // Nobody has the name yet: nothing is thrown and nothing waits.
    udp.send('node-2', Buffer.from('too early'));
    expect(counts['lookup-error.ENOTFOUND']).toBeGreaterThan(0);
    expect(counts['send-error.no-address']).toBe(1);

    address = '127.0.0.1';
    await reaches(first.heard, 'at the first address');
    expect(first.heard).not.toContain('too early');

    // The name server is away for a moment: the address stays in use.
    address = undefined;
    await reaches(first.heard, 'without a name server');

    address = '127.0.0.2';
    await reaches(second.heard, 'at the second address');
  },
);
