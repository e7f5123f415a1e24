// `baton up`: starts the system, says what comes up and what to try, and stays until Ctrl-C, SIGTERM, `baton down` or the
// end of its terminal.
import { sessionKeySchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { describeError } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import { askLeader } from '../cluster/call-leader.ts';
import { pageLink } from '../cluster/page-link.ts';
import { seedDemo } from '../instance/demo.ts';
import { layoutOf, removeRecord } from '../instance/instance.ts';
import type { BrokerChoice } from '../services/describe-broker.ts';
import type { CollectorSettings, Timeouts } from '../stack/settings.ts';
import { startSystem, type Endable, type System } from '../system.ts';
import { exitCodes } from './exit-codes.ts';
import { sayJson, sayPlain } from './say.ts';

export interface UpOptions {
  readonly data: string;
  /** Undefined keeps what the data folder has. */
  readonly nodes: number | undefined;
  readonly restored: boolean;
  readonly isolated: boolean;
  readonly demo: boolean;
  readonly json: boolean;
  readonly broker: BrokerChoice;
  readonly itemPartitions: number;
  readonly timeouts: Timeouts;
  readonly links: boolean;
  readonly privateShop: readonly string[];
  readonly contact?: string;
}

const stopWithinMs = 5_000;
const forcedWithinMs = 2_000;
const sameSignalMs = 1_000;
const parentLookMs = 1_000;
const firstItemsWithinMs = 60_000;

/** @returns the exit code. */
export async function up(options: UpOptions): Promise<number> {
  const startedAt = performance.now();
  const say = options.json
    ? sayJson(startedAt)
    : sayPlain(startedAt, {
        data: options.data,
        broker: options.broker,
        isColoured: process.stdout.isTTY && process.stdout.hasColors(),
      });
  const layout = layoutOf(options.data);
  const over = new AbortController();
  let endable: Endable | undefined;
  let ending: Promise<void> | undefined;
  const goDown = (): void => {
    if (over.signal.aborted) return;
    over.abort();
    say.stopping();
    // Also while it still starts: what is up by then goes down again.
    ending = endable?.stop();
    ending?.catch(() => undefined); // Told where it is waited for.
    setTimeout(() => endable?.stopNow(), stopWithinMs - 500).unref();
  };
  let forced = false;
  const byForce = async (): Promise<void> => {
    forced = true;
    endable?.stopNow();
    // It still ends in order, which is quick now; and even when that hangs, its record must not outlive it.
    await Promise.race([ending, pause(forcedWithinMs)]).catch(() => undefined);
    if (endable) await removeRecord(layout).catch(() => undefined);
    process.exit(exitCodes.failed);
  };
  let firstSignalAt = -Infinity;
  const onSignal = (): void => {
    // One Ctrl-C comes twice where npm starts us without a shell in between: from the terminal and from npm.
    if (performance.now() - firstSignalAt < sameSignalMs) return;
    if (over.signal.aborted) return void byForce();
    firstSignalAt = performance.now();
    goDown();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // The terminal closed, or whoever read this ended: both may come several times, and nobody is left to end it otherwise.
  process.on('SIGHUP', goDown);
  for (const output of [process.stdout, process.stderr]) output.on('error', goDown);
  if (process.env['npm_lifecycle_event'] !== undefined) whenParentGoes(goDown);

  const asked = new Promise<void>((resolve) => over.signal.addEventListener('abort', () => resolve()));
  const starting = startSystem(
    {
      layout,
      nodes: options.nodes,
      restored: options.restored,
      isolated: options.isolated,
      demo: options.demo,
      broker: options.broker,
      itemPartitions: options.itemPartitions,
      timeouts: options.timeouts,
      links: options.links,
      privateShops: options.privateShop,
      contact: options.contact,
      awsEndpoint: process.env['AWS_ENDPOINT_URL'] || undefined,
      lambdaEndpoint: process.env['AWS_ENDPOINT_URL_LAMBDA'] || undefined,
      collector: collectorOf(process.env),
    },
    (event) => {
      if (!over.signal.aborted) say.event(event);
    },
    {
      onEndable(system) {
        endable = system;
        if (over.signal.aborted) ending = system.stop();
        void system.downAsked.then(goDown);
      },
    },
  );
  try {
    await Promise.race([asked, begin(starting)]);
  } catch (error) {
    if (!over.signal.aborted) {
      say.failed(describeError(error));
      over.abort();
      await endable?.stop();
      return exitCodes.failed;
    }
  }
  if (options.demo) setTimeout(() => say.firstItemsLate(), firstItemsWithinMs).unref();
  await asked;
  // How a start that was cut short ends does not matter, but it has to have ended.
  await starting.catch(() => undefined);
  await ending;
  if (forced) return exitCodes.failed;
  say.stopped();
  return exitCodes.ok;

  async function begin(system: Promise<System>): Promise<void> {
    const running = await system;
    await seedDemo(running);
    say.ready(running, await openPage(running));
  }
}

/** A shell between npm and us dies of npm's signal and tells us nothing. */
function whenParentGoes(act: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    act();
  }, parentLookMs);
  watch.unref();
}

/** The collector, by the variables that everybody uses; an empty one counts as unset. */
function collectorOf(variables: NodeJS.ProcessEnv): CollectorSettings {
  const names = [
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    'OTEL_EXPORTER_OTLP_HEADERS_URI',
  ] as const satisfies readonly (keyof CollectorSettings)[];
  return Object.fromEntries(names.flatMap((name) => (variables[name] ? [[name, variables[name]]] : [])));
}

async function openPage(system: System): Promise<string> {
  const { url, answer } = await askLeader(system, {
    method: 'POST',
    path: publicRoutes.sessionKeys,
    role: 'operator',
  });
  return pageLink(url, sessionKeySchema.parse(answer));
}
