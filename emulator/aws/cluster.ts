// The nodes of a stage from outside: where its load balancer is, what the cluster says there, and the operator's token.
import { CloudFormationClient, DescribeStacksCommand, type Stack } from '@aws-sdk/client-cloudformation';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { ClusterView } from '../../contracts/public-api.ts';
import { tokensSchema } from '../../contracts/secrets.ts';
import { readCluster } from '../cluster/read-cluster.ts';
import { CommandError } from '../commands/exit-codes.ts';
import { callAws, clientSettings, type Account } from './account.ts';

const answerWithinMs = 5_000; // Of a node, behind a load balancer, over the internet.

/** @throws CommandError when the stage is not deployed. */
export async function readPublicUrl({ stage, names }: Account): Promise<string> {
  const cloudFormation = new CloudFormationClient(clientSettings);
  const StackName = names.stack('nodes');
  const call = { action: 'cloudformation:DescribeStacks', on: StackName };
  let stacks: Stack[] | undefined;
  try {
    ({ Stacks: stacks } = await callAws(call, (options) =>
      cloudFormation.send(new DescribeStacksCommand({ StackName }), options),
    ));
  } catch (error) {
    const { name, cause } = error as Error;
    if (name !== 'ValidationError' || !/does not exist/.test((cause as Error).message)) throw error;
    throw notDeployed(`the stack ${StackName} is`, { stage, region: await cloudFormation.config.region() });
  }
  const url = stacks?.[0]?.Outputs?.find(({ OutputKey }) => OutputKey === 'PublicUrl')?.OutputValue;
  if (url !== undefined) return url;
  throw new Error(`the stack ${StackName} has no output PublicUrl: \`npm run aws -- deploy\` again`);
}

export function notDeployed(
  whatIs: string,
  { stage, region }: { stage: { name: string }; region: string },
): CommandError {
  return new CommandError(
    'nothingRunning',
    `${whatIs} not there in ${region}: \`npm run aws -- deploy --stage ${stage.name}\` brings it, unless these are the credentials or the region of another account`,
  );
}

/** Through the load balancer, so as any node sees it. @throws Error in one line. */
export async function readClusterAt(publicUrl: string): Promise<ClusterView> {
  let cluster: ClusterView;
  try {
    cluster = await readCluster(publicUrl, { withinMs: answerWithinMs });
  } catch (cause) {
    throw new Error(
      `no node answers at ${publicUrl} within ${answerWithinMs / 1_000} s: is a node up (\`baton status\`), and is this machine in a network of \`readers\` in cdk.json?`,
      { cause },
    );
  }
  for (const url of [cluster.leader?.publicUrl, ...cluster.members.map((member) => member.publicUrl)])
    if (url !== undefined) requireOwn(url, publicUrl);
  return cluster;
}

/** Where the leader is reached by its name, and the operator's token for it. @throws Error in one line. */
export async function findLeader(account: Account): Promise<{ url: string; token: string }> {
  const publicUrl = await readPublicUrl(account);
  const { nodeId, leader } = await readClusterAt(publicUrl);
  if (!leader)
    throw new Error(
      `nobody leads right now, says ${nodeId} at ${publicUrl}: try again when \`baton status\` names a leader`,
    );
  return { url: new URL(leader.publicUrl).origin, token: await readOperatorToken(account) };
}

async function readOperatorToken({ names }: Account): Promise<string> {
  const secrets = new SecretsManagerClient(clientSettings);
  const SecretId = names.secret('tokens');
  const call = { action: 'secretsmanager:GetSecretValue', on: SecretId };
  const { SecretString = '' } = await callAws(call, (options) =>
    secrets.send(new GetSecretValueCommand({ SecretId }), options),
  );
  try {
    return tokensSchema.pick({ operator: true }).parse(JSON.parse(SecretString)).operator;
  } catch {
    // Without the cause: it may hold what was read.
    throw new Error(`the secret ${SecretId} holds no operator's token: put one in, as docs/aws.md says`);
  }
}

/** The token goes to names of the stage alone, whatever a node answers. */
function requireOwn(url: string, publicUrl: string): void {
  const [found, own] = [new URL(url), new URL(publicUrl)];
  const isOwn = found.hostname === own.hostname || found.hostname.endsWith(`.${own.hostname}`);
  if (!isOwn || found.protocol !== own.protocol)
    throw new Error(`${publicUrl} names ${url}, which is no node of this stage: nothing is asked there`);
}
