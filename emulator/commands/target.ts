// Which system a command is for: the one of processes, the one of containers, or a stage on AWS.
import { InvalidArgumentError, Option, type Command } from 'commander';

export type Target =
  | { readonly kind: 'local' }
  | { readonly kind: 'compose' }
  /** `stage`: of cdk.json. */
  | { readonly kind: 'aws'; readonly stage: string };
/** `data` counts for the local one. */
export interface Place {
  readonly data: string;
  readonly target: Target;
}

export function targetOption(): Option {
  return new Option('--target <system>', 'which one: local, compose, or aws:<stage> with a stage of cdk.json')
    .argParser(parseTarget)
    .default({ kind: 'local' } satisfies Target, 'local');
}

/** `baton --target aws:dev status` is `baton status --target aws:dev`. */
export function addGlobalTarget(program: Command): void {
  program
    .enablePositionalOptions()
    .addOption(
      new Option(
        '--target <system>',
        'local, compose or aws:<stage>, for the command that follows',
      ).argParser(parseTarget),
    )
    .hook('preAction', (_program, command) => {
      const { target } = program.opts<{ target?: Target }>();
      if (target === undefined) return;
      const name = targetOption().attributeName();
      if (!command.options.some((option) => option.attributeName() === name))
        program.error(`error: \`${pathOf(command)}\` is for the local system and takes no --target`);
      // The command's own one is nearer.
      if (command.getOptionValueSource(name) === 'default')
        command.setOptionValueWithSource(name, target, 'cli');
    });
}

/** `mail test` */
function pathOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name();
}

function parseTarget(text: string): Target {
  if (text === 'local' || text === 'compose') return { kind: text };
  const stage = /^aws:(?<stage>[a-z][a-z0-9]*)$/.exec(text)?.groups?.['stage'];
  if (stage === undefined) throw new InvalidArgumentError('It is local, compose or aws:<stage>.');
  return { kind: 'aws', stage };
}
