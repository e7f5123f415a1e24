// `baton up` as commander sees it: what it can be told, and what is refused of that.
import { InvalidArgumentError, Option, type Command } from 'commander';
import { heartbeatsPerTimeoutMin } from '../../contracts/environment.ts';
import { nodes } from '../../contracts/topology.ts';
import type { Timeouts } from '../stack/settings.ts';
import type { Finish } from './exit-codes.ts';
import { itemPartitionsOption } from './item-partitions-option.ts';
import { contactOption, dataOption, jsonOption, privateShopOption } from './options.ts';
import { up, type UpOptions } from './up.ts';

export function addUp(program: Command, finish: Finish): void {
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
    .option(
      '--restored',
      'the database comes from a backup: what it knew of readers and nodes is forgotten',
      false,
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
    .addOption(privateShopOption())
    .addOption(contactOption())
    .option('--no-links', 'nodes reach each other directly, and `chaos` cannot break their network')
    .addOption(jsonOption())
    .action(async (options: Omit<UpOptions, 'nodes'> & { nodes?: number }, command: Command) => {
      const [word] = command.args;
      if (word !== undefined)
        program.error(
          `error: there is no command '${word}'; there are ${program.commands.map((known) => known.name()).join(', ')}`,
        );
      finish(await up({ ...options, nodes: options.nodes }));
    });
}

function countOfNodes(text: string): number {
  const count = Number(text);
  if (!(nodes.countsAllowed as readonly number[]).includes(count))
    throw new InvalidArgumentError(`${nodes.countsAllowed.join(', ')} are possible.`);
  return count;
}

function timeouts(text: string): Timeouts {
  const found = /^(?<heartbeat>\d{1,5})\/(?<election>\d{1,6})$/.exec(text)?.groups;
  const [heartbeatMs, electionTimeoutMs] = [Number(found?.['heartbeat']), Number(found?.['election'])];
  if (!found || heartbeatMs < 1 || electionTimeoutMs < heartbeatsPerTimeoutMin * heartbeatMs)
    throw new InvalidArgumentError('It looks like 50/300, and the second is three times the first at least.');
  return { heartbeatMs, electionTimeoutMs };
}
