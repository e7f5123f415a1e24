// What a destroyed stage leaves in the account, and why, so that nobody has to search.
import { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';

export function leftovers(stage: AwsStage): string {
  const names = new Names(stage);
  const { cluster } = names;
  const left = [
    'the bucket with the access log of the load balancer, which stays on purpose',
    `log groups that AWS made by itself: /aws/amazonmq/broker/<id of the broker>/*, /aws/ecs/containerinsights/${cluster}/performance, /aws/lambda/${cluster}-network-*`,
    'backups of the files in the vault aws/efs/automatic-backup-vault, which end by themselves after 35 days',
    `the record in the zone of ${stage.domain.name} that the certificate was validated by`,
    'images and zips of the bootstrap stack (npx cdk gc --unstable=gc), and that stack itself, CDKToolkit, which other stages use too',
    ...(stage.collector?.headersSecret
      ? [`the secret ${names.secret('otlp-headers')}, which was made by hand`]
      : []),
    ...(stage.retainData
      ? [
          `what ${stage.name} keeps: database with its log, the file system, the secrets`,
          'what the database needs: its subnet group and parameter group, and of the network the VPC, three subnets and the security group; they cost nothing, and can be deleted when the database is gone',
        ]
      : []),
  ];
  return `A destroyed stage leaves in the account:\n${left.map((line) => `- ${line}\n`).join('')}`;
}
