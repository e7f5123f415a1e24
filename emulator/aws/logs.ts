// The end of what each service of a stage printed, newest last, out of CloudWatch Logs.
import {
  CloudWatchLogsClient,
  FilterLogEventsCommand,
  type FilteredLogEvent,
} from '@aws-sdk/client-cloudwatch-logs';
import { functionNames } from '../../contracts/topology.ts';
import { nodeIds } from '../../cdk/addresses.ts';
import { printable } from '../commands/table.ts';
import { callAws, clientSettings, type Account } from './account.ts';

const linesOfEach = 200;
const lineLengthMax = 4_000;
/** A page may be empty while more follow. */
const pagesMax = 10;
const sinceMs = 7 * 24 * 3_600_000;

interface LogPlace {
  readonly group: string;
  /** What the names of its streams begin with; every stream without it. */
  readonly prefix?: string;
}

/** By service, as `status` names it; functions print, too. */
export function logPlaces({ stage, names }: Account): ReadonlyMap<string, LogPlace> {
  return new Map<string, LogPlace>([
    ...nodeIds.map((id) => [id, { group: names.logGroup('nodes'), prefix: `${id}/` }] as const),
    ...(stage.ftpServer ? [['ftp', { group: names.logGroup('ftp') }] as const] : []),
    ...functionNames.map((name) => [name, { group: names.logGroup(`functions/${name}`) }] as const),
  ]);
}

/** @returns lines, the newest last; undefined when there is no such group. */
export async function readLogEnd({ group, prefix }: LogPlace): Promise<string[] | undefined> {
  const logs = new CloudWatchLogsClient(clientSettings);
  const startTime = Date.now() - sinceMs;
  const newestFirst: FilteredLogEvent[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < pagesMax && newestFirst.length < linesOfEach; page++) {
    const command = new FilterLogEventsCommand({
      logGroupName: group,
      ...(prefix === undefined ? {} : { logStreamNamePrefix: prefix }),
      startTime,
      startFromHead: false,
      limit: linesOfEach,
      nextToken,
    });
    const answer = await callAws({ action: 'logs:FilterLogEvents', on: group }, (options) =>
      logs.send(command, options),
    ).catch((error: Error) => {
      if (error.name === 'ResourceNotFoundException') return undefined;
      throw error;
    });
    if (!answer) return undefined;
    newestFirst.push(...(answer.events ?? []));
    ({ nextToken } = answer);
    if (nextToken === undefined) break;
  }
  return newestFirst
    .slice(0, linesOfEach)
    .toReversed()
    .map(({ message = '' }) => printable(message.trimEnd()).slice(0, lineLengthMax));
}
