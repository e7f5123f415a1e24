// The functions stack says what contracts/ say, in every stage: names, settings, event sources, schedules, variables.
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { environments } from '../../contracts/environment.ts';
import {
  directoryTable,
  functionNames,
  functions,
  schedules,
  sqsEventSources,
  sqsQueues,
} from '../../contracts/topology.ts';
import { readEnvironment } from '../../runtime/config.ts';
import { ofType, stackOf, synthesize, type Resource } from './synthesize.ts';

const functionSchema = z.object({
  FunctionName: z.string(),
  MemorySize: z.number(),
  Timeout: z.number(),
  Runtime: z.string(),
  Architectures: z.array(z.string()),
  Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }),
});
const mappingSchema = z.object({
  BatchSize: z.number(),
  EventSourceArn: z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('Arn')]) }),
  FunctionName: z.object({ Ref: z.string() }),
  FunctionResponseTypes: z.array(z.string()).optional(),
});
const queueSchema = z.object({
  QueueName: z.string(),
  FifoQueue: z.boolean().default(false),
  MessageRetentionPeriod: z.number(),
  VisibilityTimeout: z.number(),
  DelaySeconds: z.number(),
  SqsManagedSseEnabled: z.boolean(),
});
const ruleSchema = z.object({
  Name: z.string(),
  ScheduleExpression: z.string(),
  Targets: z.array(z.object({ Arn: z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('Arn')]) }) })),
});

describe.each(['local'])('functions stack: stage %s', (stageName) => {
  const system = synthesize(stageName);
  afterAll(() => system.remove());
  const { resources } = stackOf(system, 'functions');
  /** The contract's name for what the stage calls by its own. */
  const plain = (name: string) => name.replace(`baton-${stageName}-`, 'baton-');
  const called = new Map(
    ofType(resources, 'AWS::Lambda::Function').map((resource) => [resource.id, nameOf(resource)]),
  );
  function nameOf(resource: Resource): string {
    return functionSchema.parse(resource.Properties).FunctionName.replace(`baton-${stageName}-`, '');
  }
  const queueNames = new Map(
    ofType(resources, 'AWS::SQS::Queue').map(({ id, Properties }) => [
      id,
      plain(queueSchema.parse(Properties).QueueName),
    ]),
  );

  test('there are exactly the functions of the contract, with its memory and timeout', () => {
    const settings = ofType(resources, 'AWS::Lambda::Function').map((resource) => {
      const { MemorySize, Timeout, Runtime, Architectures } = functionSchema.parse(resource.Properties);
      return [nameOf(resource), { MemorySize, Timeout, Runtime, Architectures }];
    });
    expect(Object.fromEntries(settings)).toEqual(
      Object.fromEntries(
        functionNames.map((name) => [
          name,
          {
            MemorySize: functions[name].memoryMb,
            Timeout: functions[name].timeoutS,
            Runtime: 'nodejs24.x',
            Architectures: ['arm64'],
          },
        ]),
      ),
    );
  });

  test('a function has the variables of its contract, and starts with them', () => {
    for (const resource of ofType(resources, 'AWS::Lambda::Function')) {
      const name = nameOf(resource) as keyof typeof environments;
      const variables = functionSchema.parse(resource.Properties).Environment.Variables;
      const known = Object.keys(environments[name].shape);
      expect(known).toEqual(expect.arrayContaining(Object.keys(variables)));
      // What CloudFormation fills in at deploy stands here as text of the right kind.
      const atDeploy = Object.fromEntries(
        Object.entries(variables).map(([key, value]) => [
          key,
          typeof value === 'string' ? value : resolved(key),
        ]),
      );
      expect(readEnvironment(name, { ...atDeploy, AWS_REGION: 'eu-central-1' })).toMatchObject({
        BATON_CLUSTER: `baton-${stageName}`,
      });
    }
  });

  test('queues have the settings of the contract and are encrypted', () => {
    const found = ofType(resources, 'AWS::SQS::Queue').map(({ Properties }) => queueSchema.parse(Properties));
    expect(found.map((queue) => ({ ...queue, QueueName: plain(queue.QueueName) }))).toEqual(
      Object.values(sqsQueues).map((queue) => ({
        QueueName: queue.name,
        FifoQueue: queue.fifo,
        MessageRetentionPeriod: queue.retentionS,
        VisibilityTimeout: queue.visibilityTimeoutS,
        DelaySeconds: queue.delayS,
        SqsManagedSseEnabled: true,
      })),
    );
  });

  test('every SQS event source of the contract is there, and no other', () => {
    const found = ofType(resources, 'AWS::Lambda::EventSourceMapping').map(({ Properties }) => {
      const mapping = mappingSchema.parse(Properties);
      return {
        function: called.get(mapping.FunctionName.Ref),
        queue: queueNames.get(mapping.EventSourceArn['Fn::GetAtt'][0]),
        batchSize: mapping.BatchSize,
        reportBatchItemFailures: mapping.FunctionResponseTypes?.includes('ReportBatchItemFailures') ?? false,
      };
    });
    expect(found).toHaveLength(sqsEventSources.length);
    expect(found).toEqual(expect.arrayContaining([...sqsEventSources]));
  });

  test('every schedule of the contract has its rule and its targets', () => {
    const targetOf = (id: string) =>
      queueNames.has(id) ? { sqs: queueNames.get(id) } : { function: called.get(id) };
    const found = ofType(resources, 'AWS::Events::Rule').map(({ Properties }) => {
      const rule = ruleSchema.parse(Properties);
      return {
        name: plain(rule.Name),
        everyMinutes: Number(/^rate\((\d+) minutes?\)$/.exec(rule.ScheduleExpression)?.[1]),
        targets: rule.Targets.map(({ Arn }) => targetOf(Arn['Fn::GetAtt'][0])),
      };
    });
    expect(found).toEqual(schedules);
  });

  test('the directory has the key of the contract', () => {
    const [table, ...others] = ofType(resources, 'AWS::DynamoDB::Table');
    expect(others).toEqual([]);
    expect(plain(String(table?.Properties['TableName']))).toBe(directoryTable.name);
    expect(table?.Properties['KeySchema']).toEqual([{ AttributeName: directoryTable.key, KeyType: 'HASH' }]);
  });

  test('a function URL has both permissions that it needs since October 2025', () => {
    const urls = ofType(resources, 'AWS::Lambda::Url');
    expect(urls).toHaveLength(functionNames.filter((name) => functions[name].functionUrl).length);
    const open = ofType(resources, 'AWS::Lambda::Permission').filter(
      ({ Properties }) => Properties['Principal'] === '*',
    );
    expect(
      open.map(({ Properties }) => String(Properties['Action'])).toSorted((a, b) => a.localeCompare(b)),
    ).toEqual(['lambda:InvokeFunction', 'lambda:InvokeFunctionUrl']);
    // Without this condition anybody could call the function directly.
    expect(
      open.find(({ Properties }) => Properties['Action'] === 'lambda:InvokeFunction')?.Properties[
        'InvokedViaFunctionUrl'
      ],
    ).toBe(true);
  });

  test('no function reserves concurrency', () => {
    for (const { Properties } of ofType(resources, 'AWS::Lambda::Function'))
      expect(Properties).not.toHaveProperty('ReservedConcurrentExecutions');
  });
});

function resolved(variable: string): string {
  if (variable === 'BATON_BROKER_URL') return 'amqps://broker.example:5671/';
  if (variable.endsWith('_ADDRESS')) return 'server.example:21';
  throw new Error(`${variable} is filled in at deploy, and this test does not know how`);
}
