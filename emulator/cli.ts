#!/usr/bin/env node
// `baton`: the command line of the system, of processes, of containers or on AWS.
// commands/exit-codes.ts says how it ends.
import { exitCodes } from './commands/exit-codes.ts';
import { runCommand } from './program.ts';

// A reader that goes away (`| head`, a closed terminal) does not cut a command short: it goes on to its end. Any other trouble
// with the output (a full disk) is a failure of the command; `up` then goes down, and never leaves its services alone.
const output = [process.stdout, process.stderr];
let unwritten: Error | undefined;
for (const stream of output)
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') unwritten ??= error;
  });
process.exitCode = await runCommand(process.argv.slice(2));
// A slow reader gets all of it: ending now would drop what does not fit into the pipe.
await Promise.all(output.map((stream) => new Promise((resolve) => stream.write('', resolve))));
if (unwritten) {
  process.exitCode = exitCodes.failed;
  const line = `Not all could be written to the output: ${unwritten.message}\n`;
  await new Promise((resolve) => process.stderr.write(line, resolve)); // Where that fails too, the exit code says it.
}
process.exit();
