// The settings of a stage, from cdk.json: what differs between dev, prod and the emulators, and nothing else.
// Never looks anything up in an account, so that synthesis needs none, and imports nothing of the CDK: `baton --target
// aws:<stage>` reads it too.
import { z } from 'zod';
import { contactSchema } from '../contracts/environment.ts';
import { itemPartitionsSchema } from '../contracts/item-partitions.ts';

/** Some of the retention periods that CloudWatch offers. */
const logRetentionDays = [7, 14, 30, 90, 180, 365] as const;
export type LogRetentionDays = (typeof logRetentionDays)[number];

const address = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'host:port');

/** Number of partitions of the queue `items`; docs/runbook.md says how it is changed. */
const itemPartitions = { itemPartitions: itemPartitionsSchema.default(1) };
const awsStageSchema = z
  .strictObject({
    kind: z.literal('aws'),
    ...itemPartitions,
    /** Where the public listener is found: `name` leads to every node, `node-N.name` to one. The zone has to exist. */
    domain: z.strictObject({ name: z.string().min(4), hostedZoneId: z.string().min(4) }),
    /** Networks from which the public listener is reached: reading it needs no token. */
    readers: z.array(z.cidrv4()).min(1).max(20),
    /** Gets the alarms and the budget's warning. */
    alarmEmail: z.email(),
    mailFrom: z.string().min(3),
    smtpAddress: address,
    /** One small PostgreSQL, or Aurora Serverless v2 with a reader in another zone. */
    database: z.enum(['instance', 'aurora']),
    /** The secret of a database that was restored from a backup: RDS made another one for it than for the stack's own. */
    databaseSecretArn: z
      .string()
      .regex(
        /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:rds!\S+-\w{6}$/,
        'the whole ARN of a secret of RDS, with its last six characters',
      )
      .optional(),
    /** No node runs, while a database is restored: what it is told then, no node may contradict. */
    nodesStopped: z.boolean().default(false),
    brokerDeployment: z.enum(['SINGLE_INSTANCE', 'CLUSTER_MULTI_AZ']),
    natGateways: z.int().min(1).max(3),
    /** vsftpd on Fargate; without it `ftpAddress` names a server elsewhere. */
    ftpServer: z.boolean(),
    ftpAddress: address.optional(),
    /** Private networks of partners, who drop files on that server: over a VPN, a peering or a transit gateway of the account's. */
    partners: z.array(z.cidrv4()).max(20).default([]),
    logRetentionDays: z.literal(logRetentionDays),
    /** What holds state survives the deletion of its stack, and refuses to be deleted by hand. */
    retainData: z.boolean(),
    budgetUsd: z.int().min(1),
    /**
     * A collector of OpenTelemetry, told by OTLP over HTTP; left out, traces are told to nobody. `headersSecret` says that
     * `baton/<stage>/otlp-headers` holds headers for it, which is made by hand before a deploy.
     */
    collector: z
      .strictObject({ url: z.url({ protocol: /^https$/ }), headersSecret: z.boolean().default(false) })
      .optional(),
    /** Where a shop asks who crawls it, as a URL: stands in each request's User-Agent. */
    scrapeContact: contactSchema.optional(),
    /** Whether `baton kill` and `baton transfer` may touch it. */
    faultsAllowed: z.boolean(),
  })
  .refine(({ ftpServer, partners }) => ftpServer || partners.length === 0, {
    path: ['partners'],
    error: 'reach the FTP server of the stage, and it has none',
  })
  .refine(({ ftpServer, ftpAddress }) => ftpServer || ftpAddress !== undefined, {
    path: ['ftpAddress'],
    error: 'is missing: without a server of its own (`ftpServer`) the stage has to be told of another one',
  })
  .refine(({ ftpServer, ftpAddress }) => !ftpServer || ftpAddress === undefined, {
    path: ['ftpAddress'],
    error: 'names another server, and the stage has its own: leave it out, or set `ftpServer` to false',
  });

const localStageSchema = z.strictObject({
  kind: z.literal('local'),
  ...itemPartitions,
  nodeUrls: z.array(z.url({ protocol: /^https$/ })).min(1),
  brokerUrl: z.url({ protocol: /^amqps$/ }),
  ftpAddress: address,
  smtpAddress: address,
  /** What may be scraped though its address is private: the demo shop. */
  scrapePrivateHosts: z.array(address),
  /** Where the emulator serves these APIs, as a function sees it. */
  endpoints: z.strictObject({ sqs: z.url(), dynamodb: z.url() }),
});

const stageSchema = z.discriminatedUnion('kind', [awsStageSchema, localStageSchema]);
const stageNameSchema = z.string().regex(/^[a-z][a-z0-9]{1,11}$/, 'lower case letters and digits, 2 to 12');

export type AwsStage = z.infer<typeof awsStageSchema> & { readonly name: string };
export type LocalStage = z.infer<typeof localStageSchema> & { readonly name: string };
export type Stage = AwsStage | LocalStage;

/** `node`: a construct's. @throws Error naming the stage and every wrong setting. */
export function readStage(node: { tryGetContext(key: string): unknown }): Stage {
  const name = stageNameSchema.parse(node.tryGetContext('stage'));
  const stages = z.record(z.string(), z.looseObject({})).parse(node.tryGetContext('stages'));
  if (stages[name] === undefined)
    throw new Error(
      `cdk.json has no stage ${name}, only ${Object.keys(stages).join(', ')}: choose one with -c stage=<name>`,
    );
  // What a stage leaves out may come from the command line: containers are built with it.
  const parsed = stageSchema.safeParse({
    itemPartitions: node.tryGetContext('itemPartitions'),
    ...stages[name],
  });
  if (!parsed.success)
    throw new Error(
      `cdk.json, stage ${name}: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
    );
  return { ...parsed.data, name };
}
