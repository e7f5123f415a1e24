// `baton up`: starts the system, says what comes up and what to try, and stays until Ctrl-C, SIGTERM, `baton down` or the
// end of its terminal.
import { join } from 'node:path';
import { describeError } from '../../runtime/failure.ts';
import { askLeader } from '../call-leader.ts';
import { batonCommand } from '../command-text.ts';
import { seedDemo } from '../demo.ts';
import { layoutOf, removeRecord } from '../instance/instance.ts';
import { pageLink, sessionKeyCall, sessionKeySchema } from '../page-link.ts';
import { pause } from '../../runtime/waiting.ts';
import type { BrokerChoice, CollectorSettings, Timeouts } from '../stack.ts';
import { startSystem, type Endable, type System, type SystemEvent } from '../system.ts';
import { exitCodes } from './exit-codes.ts';

export interface UpOptions {
  readonly data: string;
  /** Undefined keeps what the data folder has. */
  readonly nodes: number | undefined;
  readonly isolated: boolean;
  readonly demo: boolean;
  readonly json: boolean;
  readonly broker: BrokerChoice;
  readonly itemPartitions: number;
  readonly timeouts: Timeouts;
  readonly links: boolean;
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
    : sayPlain(startedAt, process.stdout.isTTY && process.stdout.hasColors(), options);
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
    // It goes on in order, which is quick now; whatever keeps it from that, its record must not outlive it.
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
      isolated: options.isolated,
      demo: options.demo,
      broker: options.broker,
      itemPartitions: options.itemPartitions,
      timeouts: options.timeouts,
      links: options.links,
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
  // What comes of a start that was cut short is of no interest, but it has to be over.
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

/** As everybody names a collector; what is set to nothing is not set. */
function collectorOf(variables: NodeJS.ProcessEnv): CollectorSettings {
  const names = [
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    'OTEL_EXPORTER_OTLP_HEADERS_URI',
  ] as const satisfies readonly (keyof CollectorSettings)[];
  return Object.fromEntries(names.flatMap((name) => (variables[name] ? [[name, variables[name]]] : [])));
}

async function openPage(system: System): Promise<string> {
  const { url, answer } = await askLeader(system, { ...sessionKeyCall, role: 'operator' });
  return pageLink(url, sessionKeySchema.parse(answer));
}

interface Say {
  event(event: SystemEvent): void;
  ready(system: System, page: string): void;
  firstItemsLate(): void;
  failed(reason: string): void;
  stopping(): void;
  stopped(): void;
}

function sayJson(startedAt: number): Say {
  const line = (event: object): void =>
    void process.stdout.write(
      `${JSON.stringify({ ...event, afterMs: Math.round(performance.now() - startedAt) })}\n`,
    );
  return {
    event: line,
    ready: (system, page) =>
      line({
        event: 'ready',
        page,
        ...system.stack.addresses,
        nodes: system.stack.members.map(({ id, udp, internalUrl, publicUrl }) => ({
          id,
          udp,
          internalUrl,
          url: publicUrl,
        })),
      }),
    firstItemsLate: () => undefined,
    failed: (reason) => line({ event: 'failed', reason }),
    stopping: () => line({ event: 'stopping' }),
    stopped: () => line({ event: 'stopped' }),
  };
}

function sayPlain(startedAt: number, colour: boolean, { data, broker }: UpOptions): Say {
  const offerWidth = batonCommand('chaos partition leader', data).length;
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const dim = (text: string): string => paint(2, text);
  const seconds = (): string => dim(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`);
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const row = (what: string, about: string, where: string): void =>
    print(`${seconds()}  ${what.padEnd(14)} ${about.padEnd(42)} ${dim(where)}`.trimEnd());
  let itemsSeen = false;
  return {
    event(event) {
      switch (event.event) {
        case 'leftovers-ended':
          print(`Ended what an earlier start left running: ${event.names.join(', ')}.`);
          break;
        case 'described':
          print(`${paint(1, 'Baton')} with ${event.broker} as its broker.`);
          if (event.broker.startsWith('development') && broker === 'auto')
            print(
              dim(
                'No RabbitMQ is installed (`apt-get install rabbitmq-server` for a real one): this one stands in.',
              ),
            );
          for (const { name, wanted, taken } of event.movedPorts)
            print(`Port ${wanted} (${name}) is taken, ${taken} is used instead.`);
          print('');
          break;
        case 'membership-changed':
          row('membership', `${event.nodes} nodes vote now`, `generation ${event.generation}`);
          break;
        case 'crawls-kept':
          row('crawls', paint(33, 'an open crawl may wait for a minute'), event.reason);
          break;
        case 'service':
          if (event.state === 'up' && event.restarts === 0) row(event.name, event.about, event.address);
          else if (event.state === 'restarting')
            row(event.name, paint(33, 'ended, is started again'), event.detail ?? '');
          else if (event.state === 'up')
            row(event.name, paint(32, `up again (restart ${event.restarts})`), event.address);
          else if (event.state === 'paused')
            row(
              event.name,
              paint(33, 'paused'),
              `\`${batonCommand(`resume ${event.name}`, data)}\` lets it go on`,
            );
          break;
        case 'leader':
          row('leader', paint(32, `${event.node}, term ${event.term}`), 'elected, and the fence is claimed');
          break;
        case 'first-items':
          itemsSeen = true;
          row('items', `the first ${event.applied} are stored`, '');
          break;
        case 'fence-refused':
          row('fence', paint(33, `a write of ${event.node} in term ${event.term} was refused`), event.what);
          break;
      }
    },
    ready({ stack }, page) {
      const { addresses } = stack;
      print('');
      print(`${paint(32, 'Ready')} after ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
      print('');
      print(`  Page      ${paint(36, page)}`);
      print(
        `            ${dim(`opens as operator, once, within ten minutes; without the key it is read-only. Another: ${batonCommand('open', data)}`)}`,
      );
      if (addresses.front !== undefined)
        print(`  Front     ${addresses.front}  ${dim('always redirects to the leader')}`);
      print(`  Mails     ${addresses.inbox}`);
      print(
        `  Files     ${addresses.ftp}  ${dim(`explicit TLS; user and password in ${join(data, 'secrets', 'ftp.json')}`)}`,
      );
      if (addresses.demoShop !== undefined) print(`  Shop      ${addresses.demoShop}`);
      print('');
      print('Try, in another terminal:');
      const offer = (command: string, about = ''): void =>
        print(`  ${batonCommand(command, data).padEnd(offerWidth)} ${dim(about)}`.trimEnd());
      offer('status');
      offer('kill leader', '# another takes over; nothing is lost');
      offer('pause leader', '# and resume it later: the fence refuses what it still wants to write');
      offer('chaos partition leader', '# cut off from the others for 30 s; see `baton chaos --help`');
      offer('kill broker', '# or database, ftp, smtp ...');
      print('');
      print(dim('Ctrl-C ends everything.'));
      print('');
    },
    firstItemsLate() {
      if (itemsSeen) return;
      const log = (name: string): string => join(data, 'logs', `${name}.log`);
      print(`No item has come yet: see ${log('scraper')} and ${log('deliver')}.`);
    },
    failed: (reason) => void process.stderr.write(`\nBaton cannot start: ${reason}\n`),
    stopping: () => print('\nGoing down ...'),
    stopped: () => print('All down.'),
  };
}
