// Gives a node that lost its vote file a new one, by hand: for when too few others are left to end its abstention. Runs in
// the node's place, with the node's environment; says what it would do, and does it with --yes or when a person at a
// terminal agrees, and not with --dry-run. What people read goes to stderr; stdout gets the event of what was done.
// Exit codes: 0 done, 1 refused, 2 the environment or an argument is wrong, 4 nothing was done for want of a yes.
// They mean what those of `baton` mean.
import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Environment, Member } from '../contracts/environment.ts';
import { routes, termAnswerSchema, type TermAnswer } from '../contracts/node-api.ts';
import { agreed, notAgreedExitCode } from '../runtime/agreed.ts';
import { EnvironmentError, readEnvironment } from '../runtime/config.ts';
import { describeError, Failure } from '../runtime/failure.ts';
import { createInternalClient, type InternalClient } from '../runtime/internal-http.ts';
import { createLogger } from '../runtime/logger.ts';
import { createSecrets } from '../runtime/secrets.ts';
import { userName } from '../runtime/user-name.ts';
import { connectionOf } from './database/connection-of.ts';
import { openDatabase, type Database } from './database/database.ts';
import { takeIdentityLock } from './identity/identity-lock.ts';
import { judgeRecovery, recoveryText, type Heard, type Recovery } from './identity/judge-recovery.ts';
import { openVoteFile, readIdentity } from './identity/vote-file.ts';

const answerWithinMs = 2_000;

interface Arguments {
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly by: string;
}
interface Place {
  readonly environment: Readonly<Environment<'node'>>;
  readonly database: Database;
  readonly client: InternalClient;
}
type Possible = Extract<Recovery, { kind: 'possible' }>;

/** @returns the exit code. @throws Error with the reason of a refusal. */
async function recover({ yes, dryRun, by }: Arguments): Promise<number> {
  const environment = readEnvironment('node', process.env);
  const nodeId = environment.BATON_NODE_ID;
  const secrets = createSecrets();
  const client = createInternalClient({
    ca: await secrets.text(environment.BATON_TLS_CA_URI),
    cert: await secrets.text(environment.BATON_TLS_CERT_URI),
    key: await secrets.text(environment.BATON_TLS_KEY_URI),
  });
  const database = openDatabase(await connectionOf(environment, secrets, `${nodeId}/recover`));
  const place = { environment, database, client };
  try {
    const { plan } = await planRecovery(place);
    process.stderr.write(recoveryText(nodeId, plan));
    if (dryRun) return 0;
    if (!yes && !(await agreed(process.stderr))) return notAgreedExitCode;
    await carryOut(place, { by, agreedTo: plan });
    process.stderr.write(`Done. ${nodeId} votes when it is started.\n`);
    return 0;
  } finally {
    await Promise.all([database.close(), client.close()]);
  }
}

/** @throws Error saying why the node is not to be recovered. */
async function planRecovery({
  environment,
  database,
  client,
}: Place): Promise<{ plan: Possible; clusterId: string }> {
  const { BATON_NODE_ID: nodeId, BATON_MEMBERS: members, BATON_DATA: dataDir } = environment;
  const { recorded, clusterId } = await askDatabase(database, environment.BATON_CLUSTER);
  const ask = (member: Member): Promise<TermAnswer | undefined> =>
    client
      .call(member.internalUrl, { method: 'GET', path: routes.term, timeoutMs: answerWithinMs })
      .then(({ json }) => termAnswerSchema.parse(json))
      .catch(() => undefined); // Whatever the reason: it has not told its term.
  const heard = await Promise.all(
    members.map(async (member): Promise<Heard> => {
      const file = fileBeside(dataDir, nodeId, member.id);
      return {
        id: member.id,
        answer: await ask(member),
        file: file?.clusterId === clusterId ? file : undefined,
      };
    }),
  );
  const plan = judgeRecovery({
    nodeId,
    generation: environment.BATON_GENERATION,
    members,
    voteFile: readIdentity(dataDir),
    recorded,
    own: heard.find(({ id }) => id === nodeId)?.answer,
    others: heard.filter(({ id }) => id !== nodeId),
  });
  if (plan.kind === 'refused') throw new Error(plan.reason);
  return { plan, clusterId };
}

async function askDatabase(database: Database, cluster: string) {
  try {
    return { recorded: await database.recorded(), ...(await database.cluster(cluster)) };
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    throw new Error('the database gives no answer, and without the terms that it knows nothing is safe', {
      cause,
    });
  }
}

/** On a laptop the data folders of all nodes lie side by side, each under its node's id. */
function fileBeside(dataDir: string, nodeId: string, other: string): ReturnType<typeof readIdentity> {
  return basename(dataDir) === nodeId ? readIdentity(join(dirname(dataDir), other)) : undefined;
}

async function carryOut(place: Place, { by, agreedTo }: { by: string; agreedTo: Possible }): Promise<void> {
  const { environment, database } = place;
  const { BATON_NODE_ID: nodeId, BATON_GENERATION: generation, BATON_DATA: dataDir } = environment;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const unlock = takeIdentityLock({ dataDir, nodeId });
  try {
    // Again, now that the node cannot run: terms may have risen while somebody read.
    const { plan, clusterId } = await planRecovery(place);
    const { term, unheard } = plan;
    const silent = unheard.filter((id) => !agreedTo.unheard.includes(id));
    if (silent.length > 0)
      throw new Error(
        `${silent.join(', ')} fell silent meanwhile, and nobody has vouched for that: look again`,
      );
    await database.admit({ nodeId, generation, members: environment.BATON_MEMBERS, term });
    const file = openVoteFile({
      dataDir,
      clusterId,
      nodeId,
      generation,
      knownToDatabase: true,
      termAtLeast: term,
    });
    try {
      file.write({ term, votedFor: nodeId, abstaining: false });
    } finally {
      file.close();
    }
    createLogger({ process: nodeId }).emit({
      type: 'vote-file.recovered',
      node: nodeId,
      term,
      by,
      unheard: [...unheard],
    });
  } finally {
    unlock();
  }
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      yes: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      /** Who does it, for the event. */
      as: { type: 'string', default: userName() },
    },
  });
  return { yes: values.yes, dryRun: values['dry-run'], by: values.as };
}
const isWrongArgument = (error: unknown): boolean =>
  error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');

try {
  process.exitCode = await recover(readArguments());
} catch (error) {
  const isEnvironment = error instanceof EnvironmentError;
  process.stderr.write(`${isEnvironment ? error.message : describeError(error)}\n`);
  process.exitCode = isEnvironment || isWrongArgument(error) ? 2 : 1;
}
