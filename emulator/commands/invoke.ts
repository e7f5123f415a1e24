// `baton invoke <function> --event file.json`: one call over the Invoke API of the running Lambda host, or of whatever
// AWS_ENDPOINT_URL_LAMBDA names.
import { readFile } from 'node:fs/promises';
import { functionNames, functions, type FunctionName } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import { callControl } from '../control.ts';
import { createInvokeClient, invokeBytesMax } from '../event-sources/invoke-client.ts';
import { layoutOf, readRecord } from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import type { SystemStatus } from '../status.ts';
import { exitCodes, orFailed } from './exit-codes.ts';

export async function invokeFunction(
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
      process.stderr.write(`The event file ${options.event} is not to be used: ${describeError(error)}\n`);
      return exitCodes.usage;
    }
  if (Buffer.byteLength(json) > invokeBytesMax) {
    process.stderr.write(`The event is larger than ${invokeBytesMax} bytes, the most that Lambda takes.\n`);
    return exitCodes.usage;
  }
  return await orFailed(() => invokeAt(name as FunctionName, json, options));
}

async function invokeAt(name: FunctionName, json: string, options: { data: string }): Promise<number> {
  const endpoint = process.env['AWS_ENDPOINT_URL_LAMBDA'] || (await findLambda(options.data));
  if (endpoint === undefined) {
    process.stderr.write(`Nothing runs in ${layoutOf(options.data).root}: \`npm start\` starts it.\n`);
    return exitCodes.nothingRunning;
  }
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

async function findLambda(data: string): Promise<string | undefined> {
  const record = await readRecord(layoutOf(data));
  if (!record || !isAlive(record.launcher)) return undefined;
  const { services } = (await callControl(record, { path: 'status', timeoutMs: 2_000 })) as SystemStatus;
  return services.find(({ kind }) => kind === 'lambda')?.address;
}
