#!/usr/bin/env node
// `baton`: the command line of the system, of processes, of containers or on AWS. Each command is a file of its own, and is
// added here in the order of the help. commands/exit-codes.ts says how they end.
import { Command, CommanderError } from 'commander';
import { Agent, setGlobalDispatcher } from 'undici';
import manifest from '../package.json' with { type: 'json' };
import { addFaults, addViews } from './commands/by-target-commands.ts';
import { addCompose, addLocalstack } from './commands/compose-commands.ts';
import { addDlq } from './commands/dlq-commands.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addErase } from './commands/erase.ts';
import { exitCodes, type Finish } from './commands/exit-codes.ts';
import { addInvoke } from './commands/invoke.ts';
import { addMail } from './commands/mail.ts';
import { addNode } from './commands/node-recover.ts';
import { addGlobalTarget, type Place } from './commands/target.ts';
import { addTrace } from './commands/trace.ts';
import { addUp } from './commands/up-command.ts';

const commands = [
  addUp,
  addViews,
  addFaults,
  addNode,
  addDown,
  addDlq,
  addTrace,
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

// A reader that goes away (`| head`, a closed terminal) does not cut a command short: it goes on to its end. Any other trouble
// with the output (a full disk) is a failure of the command; `up` then goes down, and never leaves its services alone.
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
// A slow reader gets all of it: ending now would drop what does not fit into the pipe.
await Promise.all(output.map((stream) => new Promise((resolve) => stream.write('', resolve))));
if (unwritten) {
  process.exitCode = exitCodes.failed;
  const line = `Not all could be written to the output: ${unwritten.message}\n`;
  await new Promise((resolve) => process.stderr.write(line, resolve)); // Where that fails too, the exit code says it.
}
process.exit();
