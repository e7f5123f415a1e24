// Where the deployed system is found, from the outputs of its stacks.
import { DescribeStacksCommand, type CloudFormationClient, type Stack } from '@aws-sdk/client-cloudformation';
import { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';

export interface Outputs {
  /** Page and API, through the load balancer. */
  readonly publicUrl: string;
  /** Leads to the leader. */
  readonly frontUrl: string;
  readonly region: string;
}

const answerWithinMs = 10_000;

/** @throws Error naming the stack that is missing, or its output. */
export async function readOutputs(stage: AwsStage, cloudFormation: CloudFormationClient): Promise<Outputs> {
  const StackName = new Names(stage).stack('nodes');
  const stacks = await describe();
  return {
    publicUrl: output('PublicUrl'),
    frontUrl: output('FrontUrl'),
    region: await cloudFormation.config.region(),
  };

  async function describe(): Promise<Stack[]> {
    try {
      const { Stacks = [] } = await cloudFormation.send(new DescribeStacksCommand({ StackName }), {
        abortSignal: AbortSignal.timeout(answerWithinMs),
      });
      return Stacks;
    } catch (cause) {
      throw new Error(
        `the stack ${StackName} cannot be read: ${(cause as Error).message}. Is it deployed, and are these the credentials and the region of its account?`,
        { cause },
      );
    }
  }
  function output(key: string): string {
    const found = stacks[0]?.Outputs?.find(({ OutputKey }) => OutputKey === key)?.OutputValue;
    if (found === undefined) throw new Error(`the stack ${StackName} has no output ${key}: deploy it again`);
    return found;
  }
}

export function describeOutputs(stage: AwsStage, { publicUrl, frontUrl, region }: Outputs): string {
  const names = new Names(stage);
  return [
    `Page and API  ${publicUrl}`,
    `Front         ${frontUrl}`,
    `Dashboard     https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${names.cluster}`,
    `Nodes' log    aws logs tail ${names.logGroup('nodes')} --follow`,
    `Tokens        aws secretsmanager get-secret-value --secret-id ${names.secret('tokens')}`,
    `Budget        ${stage.budgetUsd} USD a month; what it is made of: docs/aws.md`,
    '',
  ].join('\n');
}
