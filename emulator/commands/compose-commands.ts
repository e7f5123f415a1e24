// `baton compose ...` and `baton localstack ...` as commander sees them.
import { Option, type Command } from 'commander';
import { lambdaPlaces, type LambdaPlace } from '../containers/addresses.ts';
import { composeDown, composeUp, localstackDown, localstackUp } from './compose.ts';
import { orFailed, type Finish } from './exit-codes.ts';
import { itemPartitionsOption } from './item-partitions-option.ts';
import { logsOfCompose, statusOfCompose } from './compose-status.ts';
import { sinceOption, tailOption } from './options.ts';

export function addCompose(program: Command, finish: Finish): void {
  const compose = program.command('compose').description('the system in containers');
  compose
    .command('up')
    .description('build and start, and say when a leader is there and the first item stored')
    .addOption(
      new Option(
        '--lambda <where>',
        'who runs the functions: LocalStack, or our host without a Docker socket',
      )
        .choices(lambdaPlaces)
        .default('localstack')
        .env('BATON_LAMBDA'),
    )
    .addOption(itemPartitionsOption())
    .action(async (options: { lambda: LambdaPlace; itemPartitions: number }) =>
      finish(await orFailed(() => composeUp(options))),
    );
  compose
    .command('down')
    .description('end it')
    .option('--volumes', 'and remove what it stored', false)
    .action(async (options: { volumes: boolean }) => finish(await orFailed(() => composeDown(options))));
  compose
    .command('status')
    .description('who leads, what runs, how much is stored')
    .option('--json', 'for programs', false)
    .action(async (options: { json: boolean }) => finish(await orFailed(() => statusOfCompose(options))));
  compose
    .command('logs')
    .description('what the containers printed')
    .argument('[services...]', 'as `status` names them; all without it')
    .option('--follow', 'go on', false)
    .addOption(tailOption())
    .addOption(sinceOption())
    .action(async (services: string[], options: { follow: boolean; tail: number; since?: number }) =>
      finish(await orFailed(() => logsOfCompose(services, options))),
    );
}

export function addLocalstack(program: Command, finish: Finish): void {
  const localstack = program
    .command('localstack')
    .description('LocalStack alone in a container, with the functions stack deployed into it');
  localstack.command('up').action(async () => finish(await orFailed(localstackUp)));
  localstack.command('down').action(async () => finish(await orFailed(localstackDown)));
}
