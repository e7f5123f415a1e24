// Reads who leads, and the first items, from what the nodes log: a claimed fence is the moment from which writes are taken.
import { parseEventLine } from '../../runtime/logger.ts';
import { pause } from '../../runtime/waiting.ts';
import { endsOfNodes, type ServiceView } from '../cluster/status.ts';
import type { SystemEvent } from './system-event.ts';

/** Of every node, before one leads: each took seconds, and what another service was late for came meanwhile. */
const restartsInVain = 3;
const lookAgainMs = 5_000;

export class LeaderWatch {
  readonly #tell: (event: SystemEvent) => void;
  #term = 0;
  #items = false;

  constructor(tell: (event: SystemEvent) => void) {
    this.#tell = tell;
  }

  read(line: string): void {
    if (!line.includes('"event":true')) return;
    const event = parseEventLine(line);
    if (event?.type === 'fence.claimed' && event.term > this.#term) {
      this.#term = event.term;
      this.#tell({ event: 'leader', node: event.node, term: event.term });
    } else if (event?.type === 'fence.refused')
      this.#tell({ event: 'fence-refused', node: event.node, term: event.term, what: event.what });
    else if (event?.type === 'batch.applied' && event.applied > 0 && !this.#items) {
      this.#items = true;
      this.#tell({ event: 'first-items', applied: event.applied });
    }
  }

  /**
   * `abstaining`: who has lost its vote file. Where such nodes keep the others from electing, somebody has to recover them, and
   * is waited for. `goOn` throws when the system ends meanwhile.
   * @throws Error when nobody is in time, or nobody will be: the nodes end again and again.
   */
  async elected({
    withinMs,
    nodes,
    abstaining,
    goOn,
  }: {
    withinMs: number;
    nodes: () => readonly ServiceView[];
    abstaining: () => Promise<readonly string[]>;
    goOn: () => void;
  }): Promise<void> {
    let deadline = performance.now() + withinMs;
    let lost = '';
    while (this.#term === 0) {
      goOn();
      const why = endsOfNodes(nodes()) || ': see the logs of the nodes';
      if (nodes().every(({ restarts }) => restarts >= restartsInVain))
        throw new Error(`no node stays up to be elected${why}`);
      if (performance.now() > deadline) {
        const names = await abstaining();
        if (names.length === 0) throw new Error(`no node was elected within ${withinMs / 1000} s${why}`);
        if (lost !== names.join()) this.#tell({ event: 'votes-missing', nodes: names });
        lost = names.join();
        deadline = performance.now() + lookAgainMs;
      }
      await pause(10);
    }
  }
}
