// One link between two pairs of plain sockets: it must look dead while the other side is dead, alive as soon as it
// speaks again, and silent, neither dead nor alive, while it is cut.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Link } from '../../../emulator/faults/link.ts';
import { clearRule, laneName } from '../../../emulator/faults/link-rules.ts';
import { freePorts } from '../../support/ports.ts';
import { eventually } from '../../support/running-system.ts';
import { until } from '../../support/until.ts';

const host = '127.0.0.1';
const cutRules = { [laneName('a', 'b')]: { ...clearRule, cut: true } };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A node's sockets, as far as a link can see them. */
async function speaker(port: number, linkPort: number) {
  const udp: UdpSocket = createSocket('udp4');
  udp.bind(port, host);
  await once(udp, 'listening');
  udp.connect(linkPort, host);
  await once(udp, 'connect');
  const server: Server = createServer();
  server.listen(port, host);
  await once(server, 'listening');
  const got: string[] = [];
  let refusals = 0;
  udp.on('message', (packet) => got.push(packet.toString()));
  udp.on('error', () => (refusals += 1));
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    udp.close();
    server.close();
  };
  closers.push(close);
  return {
    got,
    server,
    close,
    refusals: () => refusals,
    say: (text: string) => udp.send(text, (error) => (refusals += error ? 1 : 0)),
  };
}
async function linked() {
  const [a = 0, b = 0, atA = 0, atB = 0] = await freePorts(4);
  const link = await Link.open({
    host,
    sides: [
      { node: 'a', port: atA, nodePort: a },
      { node: 'b', port: atB, nodePort: b },
    ],
  });
  closers.push(() => link.close());
  return { link, atA, openA: () => speaker(a, atA), openB: () => speaker(b, atB) };
}
async function accepted(server: Server, port: number): Promise<{ near: Socket; far: Socket }> {
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const near = createConnection({ host, port });
  near.on('error', () => undefined);
  closers.push(() => near.destroy());
  const [far] = await arrived;
  far.on('error', () => undefined);
  closers.push(() => far.destroy());
  return { near, far };
}

describe('a link', () => {
  test('passes datagrams on, refuses in the name of a dead node, and opens when it speaks again', async () => {
    const { openA, openB } = await linked();
    const [one, other] = [await openA(), await openB()];
    one.say('hello');
    await until(() => other.got.includes('hello'), 2_000, 'hello');
    other.close();
    await until(() => (one.say('anybody?'), one.refusals() >= 2), 2_000, 'refusals');
    const again = await openB();
    await until(() => (again.say('back'), one.got.includes('back')), 2_000, 'an open link');
    one.say('welcome');
    await until(() => again.got.includes('welcome'), 2_000, 'welcome');
    expect(again.got).not.toContain('hello');
  });

  test('passes a close on at once, and refuses a connection to who is not there', async () => {
    const { openA, openB, atA } = await linked();
    await openA();
    const other = await openB();
    const { near, far } = await accepted(other.server, atA);
    far.write('who I am');
    expect(String((await once(near, 'data'))[0])).toBe('who I am');
    const closed = once(near, 'close');
    far.destroy();
    other.close();
    await closed;
    const errorOf = async (): Promise<unknown> => {
      const late = createConnection({ host, port: atA });
      const [error] = (await Promise.race([once(late, 'close'), once(late, 'connect')]).catch(
        (thrown: unknown) => [thrown],
      )) as [unknown];
      late.destroy();
      return error;
    };
    await eventually(
      'a refused connection',
      errorOf,
      (error) => error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED',
      2_000,
    );
  });

  test('cut one way, it carries neither datagrams that way nor bytes of a connection, and tells nobody of an end', async () => {
    const { link, openA, openB, atA } = await linked();
    const [one, other] = [await openA(), await openB()];
    const { near, far } = await accepted(other.server, atA);
    let closed = false;
    near.on('close', () => (closed = true)).on('data', () => undefined);
    link.setRules(cutRules);
    one.say('lost');
    other.say('still comes');
    await until(() => one.got.includes('still comes'), 2_000, 'the other way');
    far.destroy();
    other.close();
    for (let turn = 0; turn < 20; turn++) {
      one.say('lost');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect([closed, one.refusals(), other.got]).toEqual([false, 0, []]);
    link.setRules({});
    await until(() => closed, 2_000, 'the close that was held back');
  });
});
