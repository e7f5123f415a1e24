// What a destroyed stage leaves in the account on purpose, so that nobody has to search.
import type { AwsStage } from '../stage.ts';

export function leftovers(stage: AwsStage): string {
  const left = [
    'the bucket with the access log of the load balancer, and the key of the alarms: they outlive their stacks',
    'images and zips in the bootstrap stack: npx cdk gc',
    ...(stage.retainData
      ? [`database, files and secrets of ${stage.name}, which this stage keeps: delete them by hand`]
      : []),
  ];
  return `Left in the account:\n${left.map((line) => `- ${line}\n`).join('')}`;
}
