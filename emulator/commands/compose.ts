// `npm run compose -- up | down`: the system of compose.yaml, with the time until a leader is there and until the first
// item is stored. All else is plain compose, and can be had without this command.
import { sessionKeySchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { tokensSchema } from '../../contracts/secrets.ts';
import { functionNames } from '../../contracts/topology.ts';
import { pause } from '../../runtime/waiting.ts';
import { askNode } from '../cluster/ask-node.ts';
import { pageLink } from '../cluster/page-link.ts';
import type { LambdaPlace } from '../containers/addresses.ts';
import { compose, docker, findContainer, listContainers, projectName } from './compose-project.ts';
import { composeStatus, viewOf } from './compose-status.ts';
import { tokensInContainer } from './leader-api.ts';
import { exitCodes } from './exit-codes.ts';

/** One service for each image of ours: compose builds an image anew for every service that it is told to build. */
const builders = ['init', 'node-1', 'ftp'] as const;
const lookEveryMs = 250;
const healthyWithinMs = 500_000; // Half a minute on an idle machine; LocalStack is slow where others work too.
const firstItemWithinMs = 180_000; // After that.
const answerWithinMs = 5_000;
const whereToLook = '`npm run compose -- logs` shows more, `npm run compose -- down` ends what was started';

/** Builds, starts and waits. @returns the exit code. */
export async function composeUp({
  lambda,
  itemPartitions,
}: {
  lambda: LambdaPlace;
  itemPartitions: number;
}): Promise<number> {
  const env = { ...settingsFor(lambda), BATON_ITEM_PARTITIONS: String(itemPartitions) };
  // First, so that the times below are those of a start.
  if ((await compose(['build', ...builders], { env })) !== 0) return exitCodes.failed;
  const startedAt = performance.now();
  const say = (text: string): void => {
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    process.stdout.write(`${seconds.padStart(6)} s  ${text}\n`);
  };
  const stopping = new AbortController();
  const watching = sayFirsts(say, stopping.signal);
  try {
    if ((await compose(['up', '--detach'], { env, quiet: true })) !== 0) return exitCodes.failed;
    await everythingUp();
    say('everything is healthy');
    if (!(await Promise.race([watching, pause(firstItemWithinMs, stopping.signal)])))
      throw new Error(`no item was stored within ${firstItemWithinMs / 1_000} s after that. ${whereToLook}`);
    process.stdout.write(await whatNext());
    return exitCodes.ok;
  } finally {
    stopping.abort();
    await watching;
  }
}

/**
 * LocalStack alone with the functions stack in it, for whoever runs the rest as processes: they call its functions by
 * hand, and its queues and schedules are theirs. @returns the exit code.
 */
export async function localstackUp(): Promise<number> {
  apartFromTheSystem();
  const env = { ...settingsFor('localstack'), BATON_LOCALSTACK_TRIGGERS: 'false' };
  if ((await compose(['build', 'init'], { env })) !== 0) return exitCodes.failed;
  if ((await compose(['up', '--detach', 'localstack', 'deployer'], { env, quiet: true })) !== 0)
    return exitCodes.failed;
  await everythingUp();
  const { address } = viewOf(await findContainer('localstack'));
  process.stdout.write(`
LocalStack answers at http://${address}, and the functions stack is deployed. For the rest:

  AWS_ENDPOINT_URL=http://${address} npm start
  npm run localstack -- down

`);
  return exitCodes.ok;
}

/** With all that it stored. @returns the exit code. */
export async function localstackDown(): Promise<number> {
  apartFromTheSystem();
  return await composeDown({ volumes: true });
}

/** A project of its own, with its own volumes: what the system in containers has stored is not LocalStack's to take away. */
function apartFromTheSystem(): void {
  process.env['COMPOSE_PROJECT_NAME'] = `${projectName()}-localstack`;
}

/** With `volumes` what was stored goes too. @returns the exit code. */
export async function composeDown({ volumes }: { volumes: boolean }): Promise<number> {
  const code = await compose(['stop', 'localstack'], { quiet: true });
  await removeFunctionContainers();
  return (await compose(['down', '--remove-orphans', ...(volumes ? ['--volumes'] : [])])) || code;
}

function settingsFor(lambda: LambdaPlace): Record<string, string> {
  return lambda === 'host'
    ? { BATON_LAMBDA: lambda, BATON_DOCKER_SOCKET: '/dev/null' }
    : { BATON_LAMBDA: lambda, COMPOSE_PROFILES: '' };
}

/** @returns true when both were seen. */
async function sayFirsts(say: (text: string) => void, signal: AbortSignal): Promise<boolean> {
  let elected = false;
  for (; !signal.aborted; await pause(lookEveryMs, signal)) {
    const status = await composeStatus().catch(() => undefined); // Containers come and go while it starts.
    if (!elected && status?.leader) {
      elected = true;
      say(`${status.leader} leads in term ${status.term}`);
    }
    if (elected && status?.counts.items) {
      say(`the first ${status.counts.items} items are stored`);
      return true;
    }
  }
  return false;
}

async function everythingUp(): Promise<void> {
  const deadline = performance.now() + healthyWithinMs;
  for (;;) {
    const waiting = (await listContainers())
      .filter(
        ({ service, exitCode, status }) => !(service === 'init' && status === 'exited' && exitCode === 0),
      )
      .map(viewOf)
      .filter(({ state }) => state !== 'up');
    if (waiting.length === 0) return;
    if (performance.now() > deadline)
      throw new Error(
        `not healthy within ${healthyWithinMs / 1_000} s: ${waiting.map(({ name, state }) => `${name} is ${state}`).join(', ')}. ${whereToLook}`,
      );
    await pause(lookEveryMs);
  }
}

async function whatNext(): Promise<string> {
  const status = await composeStatus();
  const page = status?.nodes.find(({ id }) => id === status.leader)?.url ?? '';
  const address = async (service: string): Promise<string> => viewOf(await findContainer(service)).address;
  return `
  Page      ${await openPage(page)}
            opens as operator, once, within ten minutes; without the key it is read-only
  Front     http://${await address('front')}  always redirects to the leader
  Mails     http://${await address('inbox')}
  Shop      http://${await address('demo-shop')}
  AWS       AWS_ENDPOINT_URL=http://${await address('localstack')}

Try:
  npm run compose -- status
  npm run baton -- kill leader --target compose
  npm run baton -- pause leader --target compose
  npm run baton -- open --target compose
  npm run compose -- down

`;
}

async function openPage(page: string): Promise<string> {
  const { operator } = tokensSchema
    .pick({ operator: true })
    .parse(JSON.parse(await tokensInContainer('node-1')));
  const answer = await askNode(
    page,
    { method: 'POST', path: publicRoutes.sessionKeys },
    { token: operator, withinMs: answerWithinMs },
  );
  return pageLink(page, sessionKeySchema.parse(answer));
}

/** LocalStack runs each function in a container of its own; one that was killed leaves them behind, on the network. */
async function removeFunctionContainers(): Promise<void> {
  const onNetwork = await docker(
    'ps',
    '--all',
    `--filter=network=${projectName()}_main`,
    '--format={{.ID}}\t{{.Names}}\t{{.Label "com.docker.compose.project"}}',
  );
  const left = functionContainers(onNetwork);
  if (left.length > 0) await docker('rm', '--force', ...left);
}

/** Of lines `id, name, project`: LocalStack's own are of no project, and called `<its container>-lambda-<function>-<id>`. */
export function functionContainers(listed: string): string[] {
  return listed.split('\n').flatMap((line) => {
    const [id = '', name = '', project = ''] = line.split('\t');
    return project === '' && functionNames.some((each) => name.includes(`-lambda-${each}-`)) ? [id] : [];
  });
}
