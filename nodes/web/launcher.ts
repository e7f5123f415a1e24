// What a node asks of the launcher of a laptop, which knows its processes and links. Never there where no launcher is.
import { request } from 'undici';
import { launcherRefusalSchema } from '../../contracts/faults.ts';
import { Failure } from '../../runtime/failure.ts';

/** The launcher's control listener. */
export interface Launcher {
  readonly url: string;
  token(): Promise<string>;
}

const answerWithinMs = 5_000;

/** @throws Failure NOT_FOUND when it gives no answer, REQUEST_MALFORMED with its reason when it refuses. */
export async function askLauncher(
  launcher: Launcher,
  { path, ...call }: { readonly path: string; readonly method: 'GET' | 'POST'; readonly body?: string },
): Promise<unknown> {
  const { statusCode, body } = await request(launcher.url + path, {
    ...call,
    headers: { authorization: `Bearer ${await launcher.token()}` },
    signal: AbortSignal.timeout(answerWithinMs),
  }).catch((cause: unknown) => {
    throw new Failure('NOT_FOUND', 'the launcher gives no answer', { cause });
  });
  const answer: unknown = await body.json();
  if (statusCode === 200) return answer;
  throw new Failure('REQUEST_MALFORMED', launcherRefusalSchema.parse(answer).error);
}
