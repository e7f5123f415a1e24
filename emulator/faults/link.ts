// The link between two nodes: each finds the other at this link's end and never at its own address. Datagrams and the
// connection that shows a process' death pass through; a real close and a real refusal are passed on, a cut is not
// mistaken for either.
import { createConnection, type Socket } from 'node:net';
import { DatagramLane } from './datagram-lane.ts';
import { LinkEnd } from './link-end.ts';
import { clearRule, laneName, type LinkRules } from './link-rules.ts';
import { StepLane } from './step-lane.ts';

/** `port`: where this node finds the other one; `nodePort`: its own. */
export interface LinkSide {
  readonly node: string;
  readonly port: number;
  readonly nodePort: number;
}
export interface LinkPlan {
  readonly host: string;
  readonly sides: readonly [LinkSide, LinkSide];
}

interface OneWay {
  readonly name: string;
  readonly datagrams: DatagramLane;
  readonly steps: StepLane;
}

export class Link {
  readonly #plan: LinkPlan;
  readonly #ways: readonly [OneWay, OneWay];
  readonly #ends: LinkEnd[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(plan: LinkPlan) {
    this.#plan = plan;
    const [one, other] = plan.sides;
    this.#ways = [oneWay(one, other), oneWay(other, one)];
  }

  /** @throws the system's error when a port is taken. */
  static async open(plan: LinkPlan): Promise<Link> {
    const link = new Link(plan);
    try {
      for (const side of [0, 1] as const) link.#ends.push(await link.#openEnd(side));
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  setRules(rules: LinkRules): void {
    const isCut = this.#ways.some(({ name }) => rules[name]?.cut === true);
    for (const { name, datagrams, steps } of this.#ways) {
      const rule = rules[name] ?? clearRule;
      datagrams.setRule(rule);
      // A connection lives on both ways: without the way back nothing is acknowledged.
      steps.setRule({ isCut, delayMs: rule.delayMs });
    }
  }

  close(): void {
    for (const end of this.#ends) end.close();
    for (const { datagrams, steps } of this.#ways) {
      datagrams.close();
      steps.close();
    }
    for (const socket of this.#sockets) socket.destroy();
  }

  #openEnd(side: 0 | 1): Promise<LinkEnd> {
    const { host, sides } = this.#plan;
    const { port, nodePort } = sides[side];
    const farSide = side === 0 ? 1 : 0;
    return LinkEnd.open({
      host,
      port,
      nodePort,
      onDatagram: (packet) => this.#ways[side].datagrams.pass(() => this.#ends[farSide]?.send(packet)),
      onRefused: () => this.#ends[farSide]?.refuse(),
      onConnection: (socket) => this.#carry(socket, { host, side, farSide }),
    });
  }

  #carry(near: Socket, { host, side, farSide }: { host: string; side: 0 | 1; farSide: 0 | 1 }): void {
    const there = this.#ways[side].steps;
    const back = this.#ways[farSide].steps;
    let far: Socket | undefined;
    const opened = there.add(() => {
      far = createConnection({ host, port: this.#plan.sides[farSide].nodePort, noDelay: true });
      far.on('error', (error) => {
        if ('code' in error && error.code === 'ECONNREFUSED') this.#ends[side]?.refuse();
      });
      this.#relay(far, back, () => near);
    });
    if (opened) this.#relay(near, there, () => far);
    else near.destroy();
  }

  /** Each step of one socket becomes a step of the other. */
  #relay(from: Socket, lane: StepLane, to: () => Socket | undefined): void {
    this.#sockets.add(from);
    from.on('error', () => undefined); // Its close follows.
    from.on('data', (bytes) => {
      if (!lane.add(() => to()?.write(bytes))) from.destroy();
    });
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!lane.add(() => to()?.destroy())) to()?.destroy();
    });
  }
}

function oneWay(from: LinkSide, to: LinkSide): OneWay {
  const name = laneName(from.node, to.node);
  return { name, datagrams: new DatagramLane(name), steps: new StepLane() };
}
