#!/usr/bin/env node
// `baton`: the command line of the system, of processes, of containers or on AWS. Parses and dispatches; each command is a
// file of its own.
// Exit codes: 0 ok, 1 failed, 2 usage, 3 nothing running.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { Agent, setGlobalDispatcher } from 'undici';
import { nodes } from '../contracts/topology.ts';
import manifest from '../package.json' with { type: 'json' };
import {
  breakNetwork,
  injectFault,
  showLogs,
  showNodes,
  showStatus,
  transfer,
} from './commands/by-target.ts';
import type { ChaosOptions } from './commands/chaos.ts';
import { addCompose, addLocalstack } from './commands/compose-commands.ts';
import { addDlq } from './commands/dlq-commands.ts';
import { doctor } from './commands/doctor.ts';
import { erase } from './commands/erase.ts';
import { invokeFunction } from './commands/invoke.ts';
import { itemPartitionsOption } from './commands/item-partitions-option.ts';
import { exitCodes } from './commands/exit-codes.ts';
import { down } from './commands/running.ts';
import { mailTest } from './commands/mail.ts';
import { open } from './commands/open.ts';
import { recoverNode, type RecoverOptions } from './commands/node-recover.ts';
import { asOption, countOfVersions, dataOption, mailAddress, notEmpty } from './commands/options.ts';
import { addGlobalTarget, targetOption, type Place } from './commands/target.ts';
import { trace } from './commands/trace.ts';
import { up } from './commands/up.ts';
import { faultActions } from './control.ts';
import { chaosUsage } from './faults/grammar.ts';
import type { BrokerChoice, Timeouts } from './stack.ts';

const jsonOption = () => new Option('--json', 'one JSON object per line, for programs').default(false);
function countOfNodes(text: string): number {
  const count = Number(text);
  if (!(nodes.countsAllowed as readonly number[]).includes(count))
    throw new InvalidArgumentError(`${nodes.countsAllowed.join(', ')} are possible.`);
  return count;
}

function timeouts(text: string): Timeouts {
  const found = /^(?<heartbeat>\d{1,5})\/(?<election>\d{1,6})$/.exec(text)?.groups;
  const [heartbeatMs, electionTimeoutMs] = [Number(found?.['heartbeat']), Number(found?.['election'])];
  if (!found || heartbeatMs < 1 || electionTimeoutMs < 3 * heartbeatMs)
    throw new InvalidArgumentError('It looks like 50/300, and the second is three times the first at least.');
  return { heartbeatMs, electionTimeoutMs };
}

function createProgram(finish: (code: number) => void): Command {
  const program = new Command('baton')
    .description('Runs, watches and breaks the whole system on this machine; watches and repairs one on AWS.')
    .version(manifest.version, '--version', 'which release this is')
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride();
  addGlobalTarget(program);
  // Whatever proxy this machine has: what runs on it is reached without one, which would not find it, and would read its
  // tokens. A stage on AWS is somewhere else, and may be behind it.
  program.hook('preAction', (_program, command) => {
    if (command.opts<Partial<Place>>().target?.kind !== 'aws') setGlobalDispatcher(new Agent());
  });
  program
    .command('up', { isDefault: true })
    .description('start everything and stay until Ctrl-C')
    // It is what runs without a command, so a mistyped one comes here, too.
    .allowExcessArguments()
    .addOption(dataOption())
    .addOption(
      new Option(
        '--nodes <count>',
        `web nodes that elect a leader: ${nodes.countDefault} in a new folder; another number than before changes the cluster`,
      ).argParser(countOfNodes),
    )
    .option('--isolated', 'free ports throughout instead of the usual ones', false)
    .option('--no-demo', 'without demo shop and demo sources')
    .addOption(
      new Option('--broker <which>', 'auto takes RabbitMQ where it is installed')
        .choices(['auto', 'rabbitmq', 'development'])
        .default('auto'),
    )
    .addOption(itemPartitionsOption())
    .addOption(
      new Option(
        '--timeouts <heartbeat/election>',
        'milliseconds: between heartbeats, and until a silent leader is replaced',
      )
        .argParser(timeouts)
        .default(
          { heartbeatMs: nodes.heartbeatMs, electionTimeoutMs: nodes.electionTimeoutMs },
          `${nodes.heartbeatMs}/${nodes.electionTimeoutMs}`,
        ),
    )
    .option('--no-links', 'nodes reach each other directly, and `chaos` cannot break their network')
    .addOption(jsonOption())
    .action(
      async (
        options: {
          data: string;
          nodes?: number;
          isolated: boolean;
          demo: boolean;
          broker: BrokerChoice;
          itemPartitions: number;
          timeouts: Timeouts;
          links: boolean;
          json: boolean;
        },
        command: Command,
      ) => {
        const [word] = command.args;
        if (word !== undefined)
          program.error(
            `error: there is no command '${word}'; there are ${program.commands.map((known) => known.name()).join(', ')}`,
          );
        finish(await up({ ...options, nodes: options.nodes }));
      },
    );
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
    .description('the end of what each service printed')
    .argument('[services...]', 'as `status` names them; all without it')
    .option('--follow', 'and what it prints from now on, until the system ends or Ctrl-C', false)
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (services: string[], options: Place & { follow: boolean }) =>
      finish(await showLogs(services, options)),
    );
  program
    .command('open')
    .description('another link that opens the page as operator: each is good once')
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (options: Place) => finish(await open(options)));
  const describes = {
    kill: 'end a service as a crash would, or on AWS stop its task in order; it is started again',
    pause: 'freeze a service (SIGSTOP)',
    resume: 'let a frozen service go on',
  };
  for (const action of faultActions)
    program
      .command(action)
      .description(describes[action])
      .argument('<service>', 'leader, or a service as `status` names it', notEmpty)
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
  program
    .command('node')
    .description('repair a node by hand')
    .command('recover')
    .description(
      'a new vote file for a node that lost its own, when too few others are left for it to vote again',
    )
    .argument('<node>', 'as `status` names it', notEmpty)
    .option('--yes', 'do it without asking', false)
    .addOption(asOption('who you are, for the log'))
    .addOption(dataOption())
    .action(async (node: string, options: RecoverOptions) => finish(await recoverNode(node, options)));
  program
    .command('down')
    .description('end a running system')
    .addOption(dataOption())
    .action(async (options: { data: string }) => finish(await down(options)));
  addDlq(program, { finish, dataOption, targetOption, jsonOption });
  program
    .command('trace')
    .description('how an item came, from its page to its row and mails; or what became of a message')
    .argument('<what>', 'an item as <source>/<sku>, or the id of a message')
    .addOption(
      new Option('--versions <count>', 'how many versions of an item, 20 at most')
        .argParser(countOfVersions)
        .default(3),
    )
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (what: string, options: Place & { json: boolean; versions: number }) =>
      finish(await trace(what, options)),
    );
  addCompose(program, finish);
  addLocalstack(program, finish);
  program
    .command('invoke')
    .description('call a function as its trigger would')
    .argument('<function>', 'scraper, deliver, announce, redirect, ftp-sync or mail')
    .option('--event <file>', 'the event as JSON; {} without it')
    .addOption(dataOption())
    .action(async (name: string, options: { data: string; event?: string }) =>
      finish(await invokeFunction(name, { data: options.data, event: options.event })),
    );
  program
    .command('mail')
    .description('try the SMTP server')
    .command('test')
    .argument('<address>', 'who gets the mail', mailAddress)
    .addOption(dataOption())
    .action(async (address: string, options: { data: string }) => finish(await mailTest(address, options)));
  program
    .command('erase')
    .description('delete everything that holds a mail address')
    .argument('<address>', 'in any spelling of case', mailAddress)
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (address: string, options: Place) => finish(await erase(address, options)));
  program
    .command('doctor')
    .description('what this machine has and lacks, and what to do about it')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options: { data: string; json: boolean }) => finish(await doctor(options)));
  return program;
}

// Who reads no more (`| head`, a terminal that closed) cuts nothing in half: a command goes on to its end. Any other trouble
// with the output (a full disk) is a failure of the command; `up` goes down by it, and never leaves its services alone.
const output = [process.stdout, process.stderr];
let unwritten: Error | undefined;
for (const stream of output)
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') unwritten ??= error;
  });
try {
  await createProgram((code) => (process.exitCode = code)).parseAsync();
} catch (error) {
  // Help and version are no failure; everything else that the parser throws is a wrong use.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}
// Whoever reads slowly gets all of it: ending would drop what does not fit into the pipe.
await Promise.all(output.map((stream) => new Promise((resolve) => stream.write('', resolve))));
if (unwritten) {
  process.exitCode = exitCodes.failed;
  const line = `Not all could be written to the output: ${unwritten.message}\n`;
  await new Promise((resolve) => process.stderr.write(line, resolve)); // Where that is the same, the exit code says it.
}
process.exit();
