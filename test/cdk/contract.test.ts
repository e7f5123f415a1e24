// The templates of every stage say what contracts/ say: names, settings, event sources, schedules, variables. Each
// comparison is shown a difference too, and has to see it.
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { environments, type ProcessName } from '../../contracts/environment.ts';
import {
  directoryTable,
  functionNames,
  functions,
  nodes,
  rabbitmqEventSources,
  rabbitmqEventSourcesOf,
  schedules,
  sqsEventSources,
  sqsQueues,
} from '../../contracts/topology.ts';
import { readEnvironment } from '../../runtime/config.ts';
import { deployedContract, operations, type Deployed } from './contract.ts';
import { region } from './resolve.ts';
import {
  ofType,
  stackOf,
  synthesize,
  synthesizeWith,
  synthesized,
  type Resource,
  type Synthesized,
} from './synthesize.ts';

type Settings = Omit<Deployed, 'variables'>;

function agreed(stage: string): Settings {
  return {
    functions: Object.fromEntries(
      functionNames.map((name) => {
        const { memoryMb, timeoutS, functionUrl } = functions[name];
        return [name, { memoryMb, timeoutS, functionUrl, runtime: 'nodejs24.x', architecture: 'arm64' }];
      }),
    ),
    queues: Object.values(sqsQueues).map((queue) => ({ ...queue })),
    sqsEventSources: inOrder(sqsEventSources),
    // No emulator of AWS knows these: the laptop runs them itself.
    rabbitmqEventSources: stage === 'local' ? [] : inOrder(rabbitmqEventSources),
    schedules: schedules.map((schedule) => ({ ...schedule, targets: [...schedule.targets] })),
    directory: [directoryTable],
  };
}
function deployed(resources: readonly Resource[], stage: string): Settings {
  const {
    variables: _,
    sqsEventSources: sqs,
    rabbitmqEventSources: rabbitmq,
    ...settings
  } = deployedContract(resources, stage);
  return { ...settings, sqsEventSources: inOrder(sqs), rabbitmqEventSources: inOrder(rabbitmq) };
}
/** A template has its mappings in an order of its own. */
function inOrder<T extends { function: string; queue: string | undefined }>(sources: readonly T[]): T[] {
  const key = (source: T) => `${source.function} ${source.queue}`;
  return sources.toSorted((one, other) => key(one).localeCompare(key(other)));
}

describe.each(['local', 'dev', 'prod'])('contract: stage %s', (stage) => {
  const { resources } = synthesized(stage);

  test('functions, queues, event sources, schedules and directory are those that were agreed', () => {
    expect(deployed(resources, stage)).toEqual(agreed(stage));
  });

  test('every process has the variables that it asks for, and no others', () => {
    expect(deployedNames(resources, stage)).toEqual(agreedNames(stage));
  });

  test('every process takes its variables as they are deployed', () => {
    const taken = [...deployedContract(resources, stage).variables].map(([process, has]) =>
      readEnvironment(processName(process), { ...has, AWS_REGION: region }),
    );
    const onAws = stage === 'local' ? 0 : operations.length + nodes.countDefault;
    expect(taken).toHaveLength(functionNames.length + onAws);
    const clusters = taken.flatMap((one) => ('BATON_CLUSTER' in one ? one.BATON_CLUSTER : []));
    expect(new Set(clusters)).toEqual(new Set([`baton-${stage}`]));
  });
});

describe('contract: partitions of items', () => {
  test('each has a mapping; whoever publishes, looks or declares has their number; the role is no larger', () => {
    const { resources, stage } = synthesize('dev', undefined, { context: { itemPartitions: '4' } });
    expect(stage.itemPartitions).toBe(4);
    const { rabbitmqEventSources: mappings, variables } = deployedContract(resources, 'dev');
    expect(inOrder(mappings)).toEqual(inOrder(rabbitmqEventSourcesOf(4)));
    expect(mappings.map(({ queue }) => queue)).toEqual(expect.arrayContaining(['items', 'items-3']));
    for (const name of ['scraper', 'node-1', 'node-3', 'broker-topology'])
      expect(variables.get(name)?.['BATON_ITEM_PARTITIONS']).toBe('4');
    const policies = (all: readonly Resource[]) => ofType(all, 'AWS::IAM::Policy').length;
    expect(policies(resources)).toBe(policies(synthesized('dev').resources));
  });

  test.each(['0', '3.5', '65', 'two'])('%s of them are refused by name', (itemPartitions) => {
    expect(() => synthesize('dev', undefined, { context: { itemPartitions } })).toThrow(
      'cdk.json, stage dev: itemPartitions: a whole number from 1 to 64',
    );
  });
});

describe('contract: a collector of traces', () => {
  const withCollector = (collector: unknown) => synthesizeWith('dev', { collector });
  const toldTo = ({ resources }: Pick<Synthesized, 'resources'>) =>
    [...deployedContract(resources, 'dev').variables].flatMap(([process, has]) =>
      Object.entries(has)
        .filter(([name]) => name.startsWith('OTEL_'))
        .map(([name, value]) => `${process} ${name} ${value}`),
    );

  test('a stage that names one has each node tell it, with headers that every node may read; others tell nobody', () => {
    const url = 'https://otlp.example.com/base';
    const named = withCollector({ url, headersSecret: true });
    expect(toldTo(named)).toEqual(
      ['node-1', 'node-2', 'node-3'].flatMap((node) => [
        `${node} OTEL_EXPORTER_OTLP_ENDPOINT ${url}`,
        `${node} OTEL_EXPORTER_OTLP_HEADERS_URI secretsmanager:baton/dev/otlp-headers`,
      ]),
    );
    const readers = (all: readonly Resource[]) =>
      ofType(all, 'AWS::IAM::Policy').filter(({ Properties }) =>
        JSON.stringify(Properties).includes('otlp-headers'),
      ).length;
    expect(readers(named.resources)).toBe(3);
    expect(toldTo(withCollector({ url }))).toHaveLength(3);
    expect(toldTo(synthesized('dev'))).toEqual([]);
  });

  test('one that would be spoken to in plain text is refused by name', () => {
    expect(() => withCollector({ url: 'http://otlp.example.com' })).toThrow(
      /cdk.json, stage dev: collector.url/,
    );
  });
});

describe('contract: whom a shop asks', () => {
  const withContact = (scrapeContact: string) => synthesizeWith('dev', { scrapeContact });
  test('a stage that says it has its scraper tell it, and nobody else', () => {
    const { resources } = withContact('https://example.com/bot');
    const told = [...deployedContract(resources, 'dev').variables].filter(
      ([, has]) => has['BATON_SCRAPE_CONTACT'] === 'https://example.com/bot',
    );
    expect(told.map(([process]) => process)).toEqual(['scraper']);
  });
  test.each(['example.com', 'https://example.com/(bot)', 'ftp://example.com/bot'])(
    '%s is refused by name',
    (contact) => {
      expect(() => withContact(contact)).toThrow(/cdk.json, stage dev: scrapeContact/);
    },
  );
});

/** Optional in the contract, and set on AWS all the same. */
const optionalOnAws: Partial<Record<ProcessName, readonly string[]>> = {
  node: [
    'BATON_BIND',
    'BATON_BROKER_CA_URI',
    'BATON_DATABASE_CA_URI',
    'BATON_ELECTION_TIMEOUT_MS',
    'BATON_GENERATION',
    'BATON_HEARTBEAT_MS',
    'BATON_ITEM_PARTITIONS',
    'BATON_PAGE_URL',
    'BATON_PUBLIC_BEHIND_PROXY',
    'BATON_PUBLIC_HOSTS',
  ],
  scraper: ['BATON_BROKER_CA_URI', 'BATON_FTP_CA_URI', 'BATON_ITEM_PARTITIONS'],
  deliver: ['BATON_BROKER_CA_URI'],
  'ftp-sync': ['BATON_BROKER_CA_URI', 'BATON_FTP_CA_URI'],
  mail: ['BATON_BROKER_CA_URI'],
};
/** The same in the emulators, whose servers have certificates of the cluster. */
const endpoints = ['AWS_ENDPOINT_URL_SQS', 'AWS_ENDPOINT_URL_DYNAMODB'];
const optionalLocally: Partial<Record<ProcessName, readonly string[]>> = {
  scraper: [...endpoints, 'BATON_FTP_CA_URI', 'BATON_ITEM_PARTITIONS', 'BATON_SCRAPE_PRIVATE_HOSTS'],
  deliver: endpoints,
  announce: endpoints,
  redirect: endpoints,
  'ftp-sync': [...endpoints, 'BATON_FTP_CA_URI'],
  mail: [...endpoints, 'BATON_SMTP_CA_URI'],
};

function agreedNames(stage: string): Record<string, string[]> {
  const optional = stage === 'local' ? optionalLocally : optionalOnAws;
  const nodeIds = Array.from({ length: nodes.countDefault }, (_, index) => `node-${index + 1}`);
  return Object.fromEntries(
    [...functionNames, ...(stage === 'local' ? [] : [...operations, ...nodeIds])].map((process) => {
      const name = processName(process);
      return [process, [...neededBy(name), ...(optional[name] ?? [])].toSorted()];
    }),
  );
}
function deployedNames(resources: readonly Resource[], stage: string): Record<string, string[]> {
  return Object.fromEntries(
    [...deployedContract(resources, stage).variables].map(([process, has]) => [
      process,
      Object.keys(has).toSorted(),
    ]),
  );
}

function processName(process: string): ProcessName {
  if (process in environments) return process as ProcessName;
  if (/^node-\d+$/.test(process)) return 'node';
  throw new Error(`contracts/environment.ts knows no process ${process}`);
}
function neededBy(name: ProcessName): string[] {
  const shape: Readonly<Record<string, z.ZodType>> = environments[name].shape;
  return Object.entries(shape)
    .filter(([variable, schema]) => !setByRuntime.has(variable) && !schema.safeParse(undefined).success)
    .map(([variable]) => variable);
}
/** By Lambda and ECS. */
const setByRuntime: ReadonlySet<string> = new Set(['AWS_REGION']);

describe('contract: a planted difference is seen', () => {
  const { resources } = synthesized('dev');
  type Properties = Readonly<Record<string, unknown>>;
  function planted(stack: string, type: string, change: (properties: Properties) => Properties | undefined) {
    const [target] = ofType(stackOf(synthesized('dev'), stack).resources, type);
    expect(target).toBeDefined();
    return resources.flatMap((resource) => {
      if (resource !== target) return [resource];
      const changed = change(resource.Properties);
      return changed ? [{ ...resource, Properties: changed }] : [];
    });
  }

  test.each([
    ['functions', 'AWS::Lambda::Function', 'MemorySize', 2_048],
    ['functions', 'AWS::Lambda::Function', 'Timeout', 1],
    ['functions', 'AWS::Lambda::Function', 'Architectures', ['x86_64']],
    ['functions', 'AWS::Lambda::Function', 'FunctionName', 'baton-dev-other'],
    ['functions', 'AWS::SQS::Queue', 'MessageRetentionPeriod', 345_600],
    ['functions', 'AWS::SQS::Queue', 'DelaySeconds', 29],
    ['functions', 'AWS::Lambda::EventSourceMapping', 'BatchSize', 9],
    ['functions', 'AWS::Events::Rule', 'ScheduleExpression', 'rate(2 minutes)'],
    ['functions', 'AWS::DynamoDB::Table', 'KeySchema', [{ AttributeName: 'id' }]],
    ['event-sources', 'AWS::Lambda::EventSourceMapping', 'Queues', ['items.dead']],
    ['event-sources', 'AWS::Lambda::EventSourceMapping', 'MaximumBatchingWindowInSeconds', 1],
  ])('%s: %s with another %s', (stack, type, property, value) => {
    const changed = planted(stack, type, (properties) => ({ ...properties, [property]: value }));
    expect(deployed(changed, 'dev')).not.toEqual(agreed('dev'));
  });

  test.each([
    ['functions', 'AWS::Lambda::Function'],
    ['functions', 'AWS::SQS::Queue'],
    ['functions', 'AWS::Lambda::EventSourceMapping'],
    ['functions', 'AWS::Events::Rule'],
    ['event-sources', 'AWS::Lambda::EventSourceMapping'],
  ])('%s: %s is missing', (stack, type) => {
    expect(
      deployed(
        planted(stack, type, () => undefined),
        'dev',
      ),
    ).not.toEqual(agreed('dev'));
  });

  test('nodes: the front is not behind the load balancer', () => {
    const without = resources.filter(({ path }) => path !== 'Front');
    expect(without.length).toBe(resources.length - 1);
    expect(deployed(without, 'dev')).not.toEqual(agreed('dev'));
  });

  test('functions and nodes: a variable too many, and a node that is not there', () => {
    const more = planted('functions', 'AWS::Lambda::Function', (properties) => ({
      ...properties,
      Environment: { Variables: { BATON_DEBUG: '1' } },
    }));
    expect(deployedNames(more, 'dev')).not.toEqual(agreedNames('dev'));
    const fewer = planted('nodes', 'AWS::ECS::TaskDefinition', () => undefined);
    expect(deployedNames(fewer, 'dev')).not.toEqual(agreedNames('dev'));
  });
});
