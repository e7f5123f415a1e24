// SQL by hand, in a node's place and with its environment: where the database is, nobody else gets to it. docs/runbook.md
// says what it is needed for. Shows the statements, and runs them with --yes or when a person at a terminal agrees: one after
// another, each in a transaction of its own, until one fails. Rows go to stdout, a line of JSON each; what people read goes to
// stderr. Exit codes: 0 done, 1 refused or failed, 2 the environment or an argument is wrong, 4 nothing was done for want of a yes.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { agreed, notAgreedExitCode } from '../runtime/agreed.ts';
import { EnvironmentError, readEnvironment } from '../runtime/config.ts';
import { describeError } from '../runtime/failure.ts';
import { createSecrets } from '../runtime/secrets.ts';
import { connectionOf } from './database/connection-of.ts';
import { connectionConfig } from './database/pool.ts';

/** An index on the largest table takes minutes. */
const runWithinMs = 12 * 3_600_000;
/** Whoever writes waits behind one that waits for a lock; what a node does takes ten seconds at most. */
const lockWithinMs = 15_000;

class ArgumentError extends Error {}

/** @returns the exit code. @throws Error with what the database says. */
async function runByHand(): Promise<number> {
  const { statements, yes } = await readArguments();
  const environment = readEnvironment('node', process.env);
  process.stderr.write(`${statements.join('\n')}\n`);
  if (!yes && !(await agreed(process.stderr))) return notAgreedExitCode;
  const options = await connectionOf(environment, createSecrets(), `${environment.BATON_NODE_ID}/sql`);
  const client = new Client({ ...connectionConfig(options, runWithinMs), lock_timeout: lockWithinMs });
  client.on('error', () => undefined); // The pending query rejects with the same error.
  client.on('notice', ({ message }) => process.stderr.write(`${message}\n`));
  await client.connect();
  try {
    for (const statement of statements) {
      // One text may hold several.
      for (const { command, rowCount, rows } of [await client.query<object>(statement)].flat()) {
        for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
        process.stderr.write(`${command}${rowCount === null ? '' : ` ${rowCount}`}\n`);
      }
    }
    return 0;
  } finally {
    await client.end();
  }
}

async function readArguments(): Promise<{ statements: readonly string[]; yes: boolean }> {
  const { values, positionals } = parse();
  const statements = [...positionals];
  for (const file of values.file)
    statements.push(
      await readFile(file, 'utf8').catch((cause: unknown) => {
        throw new ArgumentError(`--file ${file} cannot be read: ${describeError(cause)}`);
      }),
    );
  if (statements.length === 0)
    throw new ArgumentError('nothing to run: node nodes/sql.ts [--yes] "SELECT ..." | --file <name>');
  return { statements, yes: values.yes };
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        yes: { type: 'boolean', default: false },
        file: { type: 'string', multiple: true, default: [] },
      },
    });
  } catch (error) {
    throw new ArgumentError(describeError(error));
  }
}

try {
  process.exitCode = await runByHand();
} catch (error) {
  const isOurs = error instanceof EnvironmentError || error instanceof ArgumentError;
  process.stderr.write(`${isOurs ? error.message : describeError(error)}\n`);
  process.exitCode = isOurs ? 2 : 1;
}
