// Keeps a publisher process running for each source until all it has to publish is confirmed: one crawl after the other,
// each with an intake of the leader's, each started again with the same intake when its process was killed.
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pause } from '../../runtime/waiting.ts';
import type { PublisherSettings } from './publisher/main.ts';
import type { Stage } from './stage.ts';

export interface PublishersOptions {
  readonly stage: Stage;
  readonly seed: number;
  readonly sources: readonly string[];
  /** Over all sources. */
  readonly messages: number;
  readonly perSecond: number;
  readonly historyFolder: string;
}

const crawlMessages = 2_000;
const startAgainAfterMs = 200;
const program = fileURLToPath(new URL('publisher/main.ts', import.meta.url));

export class Publishers {
  readonly #options: PublishersOptions;
  readonly #children = new Map<string, ChildProcess>();
  readonly #done = new Set<string>();
  readonly #closing = new AbortController();
  readonly #finished: Promise<void>;

  constructor(options: PublishersOptions) {
    this.#options = options;
    this.#finished = Promise.all(options.sources.map((source) => this.#publish(source))).then(
      () => undefined,
    );
    this.#finished.catch(() => undefined); // Whoever waits for it is told.
  }

  /** Resolves when all is confirmed. */
  get finished(): Promise<void> {
    return this.#finished;
  }

  /** @returns false when this source has no process right now. */
  signal(source: string, signal: NodeJS.Signals): boolean {
    return this.#children.get(source)?.kill(signal) ?? false;
  }

  /** Whether all that this source publishes is confirmed. */
  isDone(source: string): boolean {
    return this.#done.has(source);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const child of this.#children.values()) child.kill('SIGKILL');
    await this.#finished.catch(() => undefined); // It was said to whoever waited for it.
  }

  async #publish(source: string): Promise<void> {
    const { stage, seed, sources } = this.#options;
    let left = Math.ceil(this.#options.messages / sources.length);
    for (let number = 1; left > 0 && !this.#closing.signal.aborted; number++) {
      const messages = Math.min(left, crawlMessages);
      const intake = await this.#intake(source, `crawl-of-chaos-${number}`);
      if (intake === undefined) return;
      const settings: PublisherSettings = {
        crawl: { seed, source, intake, messages },
        perSecond: this.#options.perSecond / sources.length,
        historyFolder: this.#options.historyFolder,
        historyName: `publisher-${source}-${intake}`,
        brokerUrl: stage.brokerUrl,
        credentialsFile: stage.secretFile('broker.json'),
        caFile: stage.caFile,
      };
      while (!this.#closing.signal.aborted && !(await this.#run(source, settings)))
        await pause(startAgainAfterMs, this.#closing.signal);
      left -= messages;
    }
    if (left <= 0) this.#done.add(source);
  }

  /** Asked again under the same name it is the same. Undefined at the end of the run, which bounds the wait. */
  async #intake(source: string, name: string): Promise<number | undefined> {
    while (!this.#closing.signal.aborted)
      try {
        return await this.#options.stage.takeIntake(source, name, { withinMs: 5_000 });
      } catch {
        // Nobody leads, or the system is just being started again.
        await pause(startAgainAfterMs, this.#closing.signal);
      }
    return undefined;
  }

  /** @returns whether it ended because all is confirmed. */
  #run(source: string, settings: PublisherSettings): Promise<boolean> {
    return new Promise((resolve) => {
      const child = fork(program, [JSON.stringify(settings)], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      this.#children.set(source, child);
      const over = (done: boolean): void => {
        this.#children.delete(source);
        resolve(done);
      };
      child.once('error', () => over(false));
      child.once('exit', (code) => over(code === 0));
    });
  }
}
