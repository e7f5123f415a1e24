// What contracts/ do not say about the functions, and AWS needs: who may call them, how much they may run, for how long
// their logs are kept.
import { describe, expect, test } from 'vitest';
import { functionNames, functions } from '../../contracts/topology.ts';
import { ofType, stackOf, synthesize, synthesized, type Synthesized } from './synthesize.ts';

describe.each(['local', 'dev', 'prod'])('functions: stage %s', (stage) => {
  const { resources } = stackOf(synthesized(stage), 'functions');
  const lambdas = ofType(resources, 'AWS::Lambda::Function');

  test('none reserves concurrency: two pollers would throttle each other, and a new account has 10 in all', () => {
    expect(lambdas).toHaveLength(functionNames.length);
    for (const { Properties } of lambdas)
      expect(Properties).not.toHaveProperty('ReservedConcurrentExecutions');
  });

  test('each writes to a log group of its own, which does not keep for ever', () => {
    const groups = new Map(
      ofType(resources, 'AWS::Logs::LogGroup').map(({ Properties }) => [
        Properties['LogGroupName'],
        Properties['RetentionInDays'],
      ]),
    );
    const used = lambdas.map(
      ({ Properties }) => (Properties['LoggingConfig'] as { LogGroup: string }).LogGroup,
    );
    expect(new Set(used).size).toBe(functionNames.length);
    for (const group of used) expect(groups.get(group)).toBeGreaterThan(0);
  });

  test('an asynchronous call is not tried again: the next tick is a better try', () => {
    const settings = ofType(resources, 'AWS::Lambda::EventInvokeConfig').map(({ Properties }) => Properties);
    expect(settings).toHaveLength(functionNames.length);
    for (const { MaximumRetryAttempts } of settings) expect(MaximumRetryAttempts).toBe(0);
  });
});

test('functions: without a load balancer the front has a URL, with both permissions that one needs since October 2025', () => {
  const { resources } = stackOf(synthesized('local'), 'functions');
  expect(ofType(resources, 'AWS::Lambda::Url')).toHaveLength(
    functionNames.filter((name) => functions[name].answersHttp).length,
  );
  const open = ofType(resources, 'AWS::Lambda::Permission')
    .map(({ Properties }) => Properties)
    .filter(({ Principal }) => Principal === '*');
  expect(open).toHaveLength(2);
  expect(open).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ Action: 'lambda:InvokeFunctionUrl', FunctionUrlAuthType: 'NONE' }),
      // Without this condition anybody could call the function directly.
      expect.objectContaining({ Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true }),
    ]),
  );
});

test('functions: what serves a deploy runs again with a release that changes its code, and only then', () => {
  const asked = ({ resources }: Synthesized) =>
    ofType(resources, 'AWS::CloudFormation::CustomResource').map(({ path, Properties }) => ({
      path,
      of: JSON.stringify(Properties),
    }));
  const [before, after] = [asked(synthesized('dev')), asked(synthesize('dev', undefined, { code: 'new' }))];
  expect(before.map(({ path }) => path)).toEqual(['Filled', 'Declared']);
  for (const [index, { path, of }] of before.entries())
    expect({ path, of: after[index]?.of === of }).toEqual({ path, of: false });
  expect(asked(synthesize('dev'))).toEqual(before);
});

test('functions: what CloudFormation calls is kept while the account has no room for it, and CloudFormation gives up in minutes', () => {
  for (const stack of ['data', 'broker']) {
    const { resources } = stackOf(synthesized('dev'), stack);
    // Lambda's own rule holds: an event waits for six hours, and is tried three times.
    expect(ofType(resources, 'AWS::Lambda::EventInvokeConfig')).toEqual([]);
    const [serves] = ofType(resources, 'AWS::Lambda::Function').filter(({ path }) =>
      ['SecretKeeper/Function', 'Topology/Function'].includes(path),
    );
    const [asks] = ofType(resources, 'AWS::CloudFormation::CustomResource');
    const waits = Number(asks?.Properties['ServiceTimeout']);
    expect(waits).toBeGreaterThanOrEqual(3 * Number(serves?.Properties['Timeout']) + 60 + 120);
    expect(waits).toBeLessThanOrEqual(900);
  }
});
