// `baton erase <address>`: deletes everything that holds a mail address: its watches, what it was to be told, its mails and
// a suppression. Asks the leader, which does it in one statement; prints numbers and never the address.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { describeError } from '../../runtime/failure.ts';
import { callControl } from '../control.ts';
import { layoutOf } from '../instance/instance.ts';
import type { SystemStatus } from '../status.ts';
import { exitCodes, findRunning } from './running.ts';

const statusWithinMs = 2_000;
const eraseWithinMs = 10_000;
const erasedSchema = z.object({ watches: z.int(), mails: z.int(), suppressions: z.int() });
const problemSchema = z.object({ detail: z.string() });

export async function erase(email: string, options: { data: string }): Promise<number> {
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  try {
    const status = await callControl(record, { path: 'status', timeoutMs: statusWithinMs });
    const { leader, nodes } = status as SystemStatus;
    const url = nodes.find(({ id }) => id === leader)?.url;
    if (url === undefined)
      throw new Error('nobody leads right now: try again when `baton status` names a leader');
    const { watches, mails, suppressions } = await askLeader(url, email, options.data);
    process.stdout.write(
      `Erased: ${watches} watches, ${mails} mails, ${suppressions} suppressions. What SMTP servers received is not ours to erase.\n`,
    );
    return exitCodes.ok;
  } catch (error) {
    process.stderr.write(`Nothing was erased, or not for certain: ${describeError(error)}\n`);
    return exitCodes.failed;
  }
}

async function askLeader(url: string, email: string, data: string): Promise<z.infer<typeof erasedSchema>> {
  const tokens = JSON.parse(await readFile(join(layoutOf(data).secrets, 'tokens.json'), 'utf8')) as {
    operator: string;
  };
  const { statusCode, body } = await request(`${url}/erasures`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens.operator}`, 'content-type': 'application/json' },
    body: JSON.stringify({ email }),
    signal: AbortSignal.timeout(eraseWithinMs),
  });
  const json = await body.json();
  if (statusCode !== 200)
    throw new Error(`the leader answered ${statusCode}: ${problemSchema.parse(json).detail}`);
  return erasedSchema.parse(json);
}
