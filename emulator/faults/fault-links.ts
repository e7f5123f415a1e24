// The launcher's handle on the links between its nodes. They run in a thread, which is started again should it ever end,
// with the rules of that moment.
import { Worker } from 'node:worker_threads';
import type { LinkPlan } from './link.ts';
import type { LinkRules } from './link-rules.ts';

const answerWithinMs = 5_000;
const againMs = 200;

export class FaultLinks {
  readonly #plans: readonly LinkPlan[];
  #rules: LinkRules = {};
  #worker: Worker | undefined;
  #isClosed = false;

  private constructor(plans: readonly LinkPlan[]) {
    this.#plans = plans;
  }

  /** @throws Error when a port is taken. */
  static async open(plans: readonly LinkPlan[]): Promise<FaultLinks> {
    const links = new FaultLinks(plans);
    await links.#start();
    return links;
  }

  /** Resolves when they are in force. */
  async apply(rules: LinkRules): Promise<void> {
    this.#rules = rules;
    const worker = this.#worker;
    if (!worker) return; // It starts with these.
    const applied = answerOf(worker);
    worker.postMessage(rules, []);
    await applied;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
  }

  async #start(): Promise<void> {
    const worker = new Worker(new URL('./links-worker.ts', import.meta.url), {
      name: 'links',
      workerData: { plans: this.#plans, rules: this.#rules },
      // Flags of whoever runs this process (a test runner's loaders) are not the thread's.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 64 },
    });
    try {
      await answerOf(worker);
    } catch (error) {
      await worker.terminate();
      throw error;
    }
    this.#worker = worker;
    // What threw is told by the exit that follows.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      this.#worker = undefined;
      this.#startAgain();
    });
  }

  #startAgain(): void {
    setTimeout(() => {
      if (!this.#isClosed) this.#start().catch(() => this.#startAgain());
    }, againMs).unref();
  }
}

/** @throws Error when the thread ends, or says nothing in time. */
function answerOf(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(late);
      worker.off('message', onMessage);
      worker.off('error', settle);
      worker.off('exit', onExit);
      if (error) reject(new Error('the links between the nodes do not answer', { cause: error }));
      else resolve();
    };
    const onMessage = (): void => settle();
    const onExit = (code: number): void => settle(new Error(`their thread ended with code ${code}`));
    const late = setTimeout(() => settle(new Error(`nothing within ${answerWithinMs} ms`)), answerWithinMs);
    worker.on('message', onMessage);
    worker.on('error', settle);
    worker.on('exit', onExit);
  });
}
