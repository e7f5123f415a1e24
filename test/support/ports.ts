// Free ports for tests, found as `baton up --isolated` finds its own: below those that the system hands out by itself, where
// a client could take one between our look and its use. Free for TCP and UDP alike, as a node needs them.
import { Ports } from '../../emulator/instance/ports.ts';

const ports = new Ports({ isolated: true });

export const freePort = (): Promise<number> => ports.take('a test', 0);

export async function freePorts(count: number): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < count) taken.push(await freePort());
  return taken;
}
