// Free ports for tests: UDP and TCP under one number, as a node needs them.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count && attempt < 50; attempt++) {
    const server = createServer();
    const port = await new Promise<number>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
    const udp = createSocket('udp4');
    const free = await new Promise<boolean>((resolve) => {
      udp.once('error', () => resolve(false));
      udp.bind({ address: '127.0.0.1', port }, () => resolve(true));
    });
    udp.close();
    await new Promise((resolve) => server.close(resolve));
    if (free && !ports.includes(port)) ports.push(port);
  }
  if (ports.length < count) throw new Error(`found ${ports.length} of ${count} free ports`);
  return ports;
}

/** Polls until `what` gives something other than undefined or false. @throws Error after `withinMs`. */
export async function until<T>(
  what: () => T | undefined | false,
  withinMs: number,
  name: string,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = what();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`${name}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
