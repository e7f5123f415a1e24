// Takes the deployed functions' SQS mappings and rules out of work. Beside `npm start`, which has event sources of its own,
// they would take its ticks and announcements away and hand them to functions that reach no node.
import { request } from 'undici';
import { z } from 'zod';
import { schedules } from '../../../contracts/topology.ts';
import { authorizationFor } from '../service-header.ts';

const answerWithinMs = 15_000;
const mappingsPath = '/2015-03-31/event-source-mappings/';
const mappingsSchema = z.object({ EventSourceMappings: z.array(z.object({ UUID: z.string() })) });

/** Doing it again changes nothing. @throws Error when the emulator refuses. */
export async function disableTriggers(endpoint: string): Promise<void> {
  const { EventSourceMappings: mappings } = mappingsSchema.parse(
    await call(`${endpoint}${mappingsPath}`, { method: 'GET' }),
  );
  for (const { UUID } of mappings)
    await call(`${endpoint}${mappingsPath}${UUID}`, { method: 'PUT', json: { Enabled: false } });
  for (const { name } of schedules)
    await call(endpoint, {
      method: 'POST',
      headers: {
        authorization: authorizationFor('events'),
        'x-amz-target': 'AWSEvents.DisableRule',
        'content-type': 'application/x-amz-json-1.1',
      },
      json: { Name: name },
    });
}

async function call(
  url: string,
  {
    method,
    headers = { authorization: authorizationFor('lambda'), 'content-type': 'application/json' },
    json,
  }: { method: 'GET' | 'PUT' | 'POST'; headers?: Record<string, string>; json?: unknown },
): Promise<unknown> {
  const { statusCode, body } = await request(url, {
    method,
    headers,
    body: json === undefined ? null : JSON.stringify(json),
    signal: AbortSignal.timeout(answerWithinMs),
  });
  const text = await body.text();
  if (statusCode >= 300) throw new Error(`${method} ${url}: ${statusCode} ${text.slice(0, 300)}`);
  return text === '' ? undefined : JSON.parse(text);
}
