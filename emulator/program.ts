// The command line as a function: words in, exit code out. Each command is a file of its own, and is added here in the order
// of the help.
import { Command, CommanderError } from 'commander';
import { Agent, setGlobalDispatcher } from 'undici';
import manifest from '../package.json' with { type: 'json' };
import { addFaults, addViews } from './commands/by-target-commands.ts';
import { addCompose, addLocalstack } from './commands/compose-commands.ts';
import { addDlq } from './commands/dlq-commands.ts';
import { addDoctor } from './commands/doctor.ts';
import { addErase } from './commands/erase.ts';
import { exitCodes, type Finish } from './commands/exit-codes.ts';
import { addInvoke } from './commands/invoke.ts';
import { addMail } from './commands/mail.ts';
import { addNode } from './commands/node-recover.ts';
import { addDown } from './commands/down.ts';
import { addSql } from './commands/sql.ts';
import { addGlobalTarget, type Place } from './commands/target.ts';
import { addSource } from './commands/source.ts';
import { addRestart } from './commands/restart.ts';
import { addTrace } from './commands/trace.ts';
import { addUp } from './commands/up-command.ts';

const commands = [
  addUp,
  addViews,
  addFaults,
  addRestart,
  addNode,
  addDown,
  addSource,
  addDlq,
  addTrace,
  addSql,
  addCompose,
  addLocalstack,
  addInvoke,
  addMail,
  addErase,
  addDoctor,
];

function createProgram(finish: Finish): Command {
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
  for (const add of commands) add(program, finish);
  return program;
}

/** @returns the exit code. @throws what no command expects. */
export async function runCommand(words: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.ok;
  try {
    await createProgram((code) => (exitCode = code)).parseAsync(words, { from: 'user' });
  } catch (error) {
    // Help and version are no failure; everything else that the parser throws is a wrong use.
    if (!(error instanceof CommanderError)) throw error;
    exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  return exitCode;
}
