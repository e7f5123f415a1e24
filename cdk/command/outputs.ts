// Where the deployed system is found, from the outputs of its stacks.
import { DescribeStacksCommand, type CloudFormationClient, type Stack } from '@aws-sdk/client-cloudformation';
import { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';

export interface Outputs {
  /** Page and API, through the load balancer. */
  readonly publicUrl: string;
  /** The function URL that leads to the leader. */
  readonly frontUrl: string;
  readonly region: string;
}

const answerWithinMs = 10_000;

/** @throws Error naming the stack that is missing, or its output. */
export async function readOutputs(stage: AwsStage, cloudFormation: CloudFormationClient): Promise<Outputs> {
  const names = new Names(stage);
  return {
    publicUrl: await output(names.stack('nodes'), 'PublicUrl'),
    frontUrl: await output(names.stack('functions'), 'FrontUrl'),
    region: await cloudFormation.config.region(),
  };

  async function output(StackName: string, key: string): Promise<string> {
    let stacks: Stack[];
    try {
      ({ Stacks: stacks = [] } = await cloudFormation.send(new DescribeStacksCommand({ StackName }), {
        abortSignal: AbortSignal.timeout(answerWithinMs),
      }));
    } catch (cause) {
      throw new Error(
        `the stack ${StackName} cannot be read: ${(cause as Error).message}. Is it deployed, and are these the credentials and the region of its account?`,
        { cause },
      );
    }
    const found = stacks[0]?.Outputs?.find(({ OutputKey }) => OutputKey === key)?.OutputValue;
    if (found === undefined) throw new Error(`the stack ${StackName} has no output ${key}: deploy it again`);
    return found;
  }
}

export function describeOutputs(stage: AwsStage, { publicUrl, frontUrl, region }: Outputs): string {
  const { cluster } = new Names(stage);
  return [
    `Page and API  ${publicUrl}`,
    `Front         ${frontUrl}`,
    `Dashboard     https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${cluster}`,
    `Nodes' log    aws logs tail /baton/${stage.name}/nodes --follow`,
    `Tokens        aws secretsmanager get-secret-value --secret-id baton/${stage.name}/tokens`,
    `Budget        ${stage.budgetUsd} USD a month; what it is made of: docs/aws.md`,
    '',
  ].join('\n');
}
