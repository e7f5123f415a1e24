// The ports of a running system: the usual ones where they are free, else the next free one, which is said.
// All below 32768: above it the system hands ports out by itself, and one could be taken between our look and its use.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Nodes count up from theirs. */
export const usualPorts = {
  control: 7099,
  front: 7100,
  public: 7101,
  internal: 7201,
  udp: 7301,
  link: 7311,
  lambda: 7400,
  ftp: 7421,
  smtp: 7425,
  inbox: 7426,
  demoShop: 7430,
  database: 7432,
  broker: 7471,
  distribution: 7472,
  epmd: 7473,
  sqs: 7480,
  dynamodb: 7481,
} as const;

const host = '127.0.0.1';
const isolatedFrom = 20_000;
const isolatedCount = 12_000;
const triesMax = 200;

export interface MovedPort {
  readonly name: string;
  readonly wanted: number;
  readonly taken: number;
}

/** Hands out each port once. `isolated`: any free one instead of the usual one. */
export class Ports {
  readonly #isolated: boolean;
  readonly #given = new Set<number>();
  readonly moved: MovedPort[] = [];

  constructor({ isolated }: { isolated: boolean }) {
    this.#isolated = isolated;
  }

  /** @throws Error when 200 in a row are taken. */
  async take(name: string, usual: number): Promise<number> {
    const first = this.#isolated ? isolatedFrom + Math.floor(Math.random() * isolatedCount) : usual;
    for (let step = 0; step < triesMax; step++) {
      const port = first + step;
      if (this.#given.has(port) || !(await isFree(port))) continue;
      this.#given.add(port);
      if (!this.#isolated && port !== usual) this.moved.push({ name, wanted: usual, taken: port });
      return port;
    }
    throw new Error(
      `no port from ${first} to ${first + triesMax - 1} is free for ${name}: try --isolated, or see who holds them with \`npm run baton -- doctor\``,
    );
  }
}

/** Whether nobody has it, for TCP and UDP alike: a node uses the same number for both. */
export async function isFree(port: number): Promise<boolean> {
  return (await canListen(port)) && (await canBind(port));
}
function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createSocket('udp4');
    probe.once('error', () => probe.close(() => resolve(false)));
    probe.bind({ port, address: host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
