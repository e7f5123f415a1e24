// The commands that are there for every target, as commander sees them.
import { Argument, type Command } from 'commander';
import { everyPaused, faultActions } from '../launcher/control.ts';
import { chaosUsage } from '../faults/grammar.ts';
import { breakNetwork, injectFault, showLogs, showNodes, showStatus, transfer } from './by-target.ts';
import type { ChaosOptions } from './chaos.ts';
import type { Finish } from './exit-codes.ts';
import { open } from './open.ts';
import type { ShownLogs } from './logs.ts';
import { dataOption, jsonOption, notEmpty, sinceOption, tailOption } from './options.ts';
import { targetOption, type Place } from './target.ts';

const describes = {
  kill: 'end a service as a crash would, or on AWS stop its task in order; it is started again',
  pause: 'freeze a service (SIGSTOP)',
  resume: 'let a frozen service go on',
};

/** Those that only look. */
export function addViews(program: Command, finish: Finish): void {
  program
    .command('status')
    .description('who leads, what runs, how much is stored')
    .option('--watch', 'again every second, until the system ends or Ctrl-C', false)
    .addOption(dataOption())
    .addOption(jsonOption())
    .addOption(targetOption())
    .action(async (options: Place & { json: boolean; watch: boolean }) => finish(await showStatus(options)));
  program
    .command('nodes')
    .description('each node: role, term, generation, whether it votes, when the leader heard it')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addOption(targetOption())
    .action(async (options: Place & { json: boolean }) => finish(await showNodes(options)));
  program
    .command('logs')
    .description('the last lines of all services, in the order of their times')
    .argument('[services...]', 'as `status` names them; all without it')
    .option('--follow', 'and what it prints from now on, until the system ends or Ctrl-C', false)
    .addOption(tailOption())
    .addOption(sinceOption())
    .addOption(dataOption())
    .addOption(jsonOption())
    .addOption(targetOption())
    .action(async (services: string[], options: Place & ShownLogs) =>
      finish(await showLogs(services, options)),
    );
  program
    .command('open')
    .description('another link that opens the page as operator: each is good once')
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (options: Place) => finish(await open(options)));
}

/** Those that break something, and the one that hands over before something breaks. */
export function addFaults(program: Command, finish: Finish): void {
  for (const action of faultActions)
    program
      .command(action)
      .description(describes[action])
      .addArgument(
        action === 'resume'
          ? new Argument('[service]', 'as `status` names it; all that are frozen without it')
              .argParser(notEmpty)
              .default(everyPaused, 'all that are frozen')
          : new Argument('<service>', 'leader, or a service as `status` names it').argParser(notEmpty),
      )
      .addOption(dataOption())
      .addOption(targetOption())
      .action(async (service: string, options: Place) => finish(await injectFault(action, service, options)));
  program
    .command('chaos')
    .description('break the network between the nodes, or a service, for a while')
    .argument('<command...>', 'what to break')
    .option('--one-way', 'only from the first nodes to the second')
    .option('--for <time>', 'heals by itself after that: 30s without it')
    .option('--seed <number>', 'the same seed loses the same datagrams again')
    .addOption(dataOption())
    .addOption(targetOption())
    .addHelpText('after', `\nCommands:\n${chaosUsage}`)
    .action(async (words: string[], options: Place & ChaosOptions) =>
      finish(await breakNetwork(words, options)),
    );
  program
    .command('transfer')
    .description('hand leadership over without a gap')
    .argument('[node]', 'who is to lead; the first in rank without it', notEmpty, 'first')
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (node: string, options: Place) => finish(await transfer(node, options)));
}
