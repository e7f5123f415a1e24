// What `baton up` says, to people or, line by line as JSON, to programs. Decides nothing.
import { join } from 'node:path';
import type { BrokerChoice } from '../services/describe-broker.ts';
import type { SystemEvent } from '../launcher/system-event.ts';
import type { System } from '../system.ts';
import { batonCommand } from '../instance/command-text.ts';

export interface Say {
  event(event: SystemEvent): void;
  ready(system: System, page: string): void;
  firstItemsLate(): void;
  failed(reason: string): void;
  stopping(): void;
  stopped(): void;
}

export function sayJson(startedAt: number): Say {
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

export function sayPlain(
  startedAt: number,
  { data, broker, isColoured }: { data: string; broker: BrokerChoice; isColoured: boolean },
): Say {
  const offerWidth = batonCommand('chaos partition leader', data).length;
  const paint = (code: number, text: string): string =>
    isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
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
        case 'restored':
          row('database', 'comes from a backup', 'the feed has another id, and nodes are admitted anew');
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
        `            ${dim('opens as operator, once, within ten minutes; without the key it is read-only')}`,
      );
      print(`            ${dim(`another one: ${batonCommand('open', data)}`)}`);
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
