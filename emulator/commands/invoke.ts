// `baton invoke <function> --event file.json`: one call over the Invoke API of the running Lambda host, or of whatever
// AWS_ENDPOINT_URL_LAMBDA names.
import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { functionNames, functions, type FunctionName } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import { readStatus } from '../launcher/ask-launcher.ts';
import { requestBytesMax } from '../lambda/limits.ts';
import { createInvokeClient } from '../event-sources/invoke-client.ts';
import { dataOption } from './options.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

const statusWithinMs = 2_000;

export function addInvoke(program: Command, finish: Finish): void {
  program
    .command('invoke')
    .description('call a function as its trigger would')
    .argument('<function>', 'scraper, deliver, announce, redirect, ftp-sync or mail')
    .option('--event <file>', 'the event as JSON; {} without it')
    .addOption(dataOption())
    .action(async (name: string, options: { data: string; event?: string }) =>
      finish(await invokeFunction(name, { data: options.data, event: options.event })),
    );
}

async function invokeFunction(
  name: string,
  options: { data: string; event: string | undefined },
): Promise<number> {
  if (!functionNames.includes(name as FunctionName)) {
    process.stderr.write(`There is no function ${name}; there are ${functionNames.join(', ')}.\n`);
    return exitCodes.usage;
  }
  let json = '{}';
  if (options.event !== undefined)
    try {
      json = await readFile(options.event, 'utf8');
      JSON.parse(json);
    } catch (error) {
      process.stderr.write(`The event file ${options.event} cannot be used: ${describeError(error)}\n`);
      return exitCodes.usage;
    }
  if (Buffer.byteLength(json) > requestBytesMax) {
    process.stderr.write(`The event is larger than ${requestBytesMax} bytes, the most that Lambda takes.\n`);
    return exitCodes.usage;
  }
  return await orFailed(() => invokeAt(name as FunctionName, json, options));
}

async function invokeAt(name: FunctionName, json: string, options: { data: string }): Promise<number> {
  const endpoint = process.env['AWS_ENDPOINT_URL_LAMBDA'] || (await findLambda(options.data));
  if (endpoint === undefined) return exitCodes.nothingRunning;
  const client = createInvokeClient(endpoint);
  try {
    const outcome = await client.invoke(name, json, {
      timeoutMs: functions[name].timeoutS * 1_000 + 5_000,
    });
    if (outcome.kind === 'answered') process.stdout.write(`${JSON.stringify(outcome.payload, null, 2)}\n`);
    else process.stderr.write(`${name}: ${outcome.reason}\n`);
    return outcome.kind === 'answered' ? exitCodes.ok : exitCodes.failed;
  } finally {
    await client.close();
  }
}

/** Undefined, and said, when nothing runs. @throws Error when the functions of what runs are elsewhere. */
async function findLambda(data: string): Promise<string | undefined> {
  const record = await findRunning(data);
  if (!record) return undefined;
  const { services } = await readStatus(record, statusWithinMs);
  const lambda = services.find(({ kind }) => kind === 'lambda');
  if (!lambda) throw new Error('its functions run elsewhere: name the place with AWS_ENDPOINT_URL_LAMBDA');
  return lambda.address;
}
