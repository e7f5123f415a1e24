// What a stage's templates say, in the words of contracts/topology.ts: functions, queues, event sources, schedules,
// directory, variables. Two of these are compared: what is deployed and what was agreed.
import { z } from 'zod';
import { directoryTable } from '../../contracts/topology.ts';
import { ofType, type Resource } from './synthesize.ts';
import { account, region } from './resolve.ts';

const variablesSchema = z.record(z.string(), z.string());
const functionSchema = z.object({
  FunctionName: z.string(),
  MemorySize: z.number(),
  Timeout: z.number(),
  Runtime: z.string(),
  Architectures: z.tuple([z.string()]).default(['x86_64']),
  Environment: z.object({ Variables: variablesSchema }).default({ Variables: {} }),
});
const queueSchema = z.object({
  QueueName: z.string(),
  FifoQueue: z.boolean().default(false),
  MessageRetentionPeriod: z.number(),
  VisibilityTimeout: z.number(),
  DelaySeconds: z.number(),
});
const mappingSchema = z.object({
  EventSourceArn: z.string(),
  FunctionName: z.string(),
  BatchSize: z.number(),
  Queues: z.tuple([z.string()]).optional(),
  MaximumBatchingWindowInSeconds: z.number().optional(),
  FunctionResponseTypes: z.array(z.string()).default([]),
});
const ruleSchema = z.object({
  Name: z.string(),
  ScheduleExpression: z.string().regex(/^rate\(\d+ minutes?\)$/),
  Targets: z.array(z.object({ Arn: z.string() })),
});
const targetGroupSchema = z.object({
  TargetType: z.string(),
  Targets: z.array(z.object({ Id: z.string() })).default([]),
});
const tableSchema = z.object({
  TableName: z.string(),
  KeySchema: z.tuple([z.object({ AttributeName: z.string() })]),
});
const taskSchema = z.object({
  Family: z.string(),
  ContainerDefinitions: z.tuple([
    z.object({ Name: z.string(), Environment: z.array(z.object({ Name: z.string(), Value: z.string() })) }),
  ]),
});

/** Functions that serve a deploy and not the system, and have no place in the topology. */
export const operations: readonly string[] = ['secret-keeper', 'broker-topology'];

export type Deployed = ReturnType<typeof deployedContract>;

export function deployedContract(resources: readonly Resource[], stage: string) {
  /** The contract's name for what the stage calls by its own. */
  const plain = (name: string) => name.replace(`baton-${stage}-`, 'baton-');
  const plainFunction = (name: string) => name.replace(`baton-${stage}-`, '');
  // CDK's own helpers have no name of ours.
  const lambdas = ofType(resources, 'AWS::Lambda::Function')
    .filter(({ Properties }) => Properties['FunctionName'] !== undefined)
    .map(({ Properties }) => functionSchema.parse(Properties))
    .map((found) => ({ ...found, name: plainFunction(found.FunctionName) }));
  const functions = lambdas.filter(({ name }) => !operations.includes(name));
  const mappings = ofType(resources, 'AWS::Lambda::EventSourceMapping').map(({ Properties }) =>
    mappingSchema.parse(Properties),
  );
  const ofArn = (arn: unknown) => plainFunction(String(arn).split(':').at(-1) ?? '');
  const answerHttp = [
    ...ofType(resources, 'AWS::Lambda::Url').map(({ Properties }) => ofArn(Properties['TargetFunctionArn'])),
    ...ofType(resources, 'AWS::ElasticLoadBalancingV2::TargetGroup')
      .map(({ Properties }) => targetGroupSchema.parse(Properties))
      .flatMap(({ TargetType, Targets }) => (TargetType === 'lambda' ? Targets : []))
      .map(({ Id }) => ofArn(Id)),
  ];
  const tasks = ofType(resources, 'AWS::ECS::TaskDefinition')
    .map(({ Properties }) => taskSchema.parse(Properties))
    .filter(({ ContainerDefinitions: [container] }) => container.Name === 'node');
  return {
    functions: Object.fromEntries(
      functions.map(({ name, MemorySize, Timeout, Runtime, Architectures }) => [
        name,
        {
          memoryMb: MemorySize,
          timeoutS: Timeout,
          runtime: Runtime,
          architecture: Architectures[0],
          answersHttp: answerHttp.includes(name),
        },
      ]),
    ),
    queues: ofType(resources, 'AWS::SQS::Queue')
      .map(({ Properties }) => queueSchema.parse(Properties))
      .map((queue) => ({
        name: plain(queue.QueueName),
        fifo: queue.FifoQueue,
        retentionS: queue.MessageRetentionPeriod,
        visibilityTimeoutS: queue.VisibilityTimeout,
        delayS: queue.DelaySeconds,
      })),
    sqsEventSources: mappings
      .filter(({ EventSourceArn }) => EventSourceArn.startsWith('arn:aws:sqs:'))
      .map((mapping) => ({
        function: plainFunction(mapping.FunctionName),
        queue: plain(mapping.EventSourceArn.split(':').at(-1) ?? ''),
        batchSize: mapping.BatchSize,
        reportBatchItemFailures: mapping.FunctionResponseTypes.includes('ReportBatchItemFailures'),
      })),
    rabbitmqEventSources: mappings
      .filter(({ EventSourceArn }) => EventSourceArn.startsWith('arn:aws:mq:'))
      .map((mapping) => ({
        function: plainFunction(mapping.FunctionName),
        queue: mapping.Queues?.[0],
        batchSize: mapping.BatchSize,
        windowMs: (mapping.MaximumBatchingWindowInSeconds ?? Number.NaN) * 1_000,
      })),
    schedules: ofType(resources, 'AWS::Events::Rule')
      .map(({ Properties }) => Properties)
      .filter(({ Name }) => Name !== undefined)
      .map((properties) => ruleSchema.parse(properties))
      .map((rule) => ({
        name: plain(rule.Name),
        everyMinutes: Number(/\d+/.exec(rule.ScheduleExpression)?.[0]),
        targets: rule.Targets.map(({ Arn }) =>
          Arn.startsWith(`arn:aws:sqs:${region}:${account}:`)
            ? { sqs: plain(Arn.split(':').at(-1) ?? '') }
            : { function: plainFunction(Arn.split(':').at(-1) ?? '') },
        ),
      })),
    directory: ofType(resources, 'AWS::DynamoDB::Table')
      .map(({ Properties }) => tableSchema.parse(Properties))
      .map(({ TableName, KeySchema: [key] }) => ({
        name: plain(TableName),
        key: key.AttributeName as typeof directoryTable.key,
      })),
    /** Of every process, the operations' too. */
    variables: new Map<string, Readonly<Record<string, string>>>([
      ...lambdas.map(({ name, Environment }) => [name, Environment.Variables] as const),
      ...tasks.map(
        ({ Family, ContainerDefinitions: [container] }) =>
          [
            plainFunction(Family),
            Object.fromEntries(container.Environment.map(({ Name, Value }) => [Name, Value])),
          ] as const,
      ),
    ]),
  };
}
