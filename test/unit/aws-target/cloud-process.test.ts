// `baton --target aws:<stage>` as a process: what it needs of its environment, and what it loads.
import { expect, test } from 'vitest';
import { callAws } from '../../../emulator/aws/account.ts';
import { batonOnAws } from '../../support/baton-on-aws.ts';
import { useSimulatedStage } from '../../support/simulated-stage.ts';

const stage = useSimulatedStage();

test.each([
  ['no credentials', { AWS_ACCESS_KEY_ID: undefined }, /^there are no credentials for AWS: sign in/],
  ['no region', { AWS_REGION: undefined }, /^there is no region: set AWS_REGION/],
  [
    'AWS out of reach',
    { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' },
    /^cloudformation cannot be reached \(cloudformation:DescribeStacks on baton-dev-nodes\): .*ECONNREFUSED/,
  ],
])('%s', async (_what, env, said) => {
  const { code, stderr } = await batonOnAws(stage.aws, ['status', '--target', 'aws:dev'], { env });
  expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 1, lines: 2 });
  expect(stderr).toMatch(said);
});

test('an AWS that never answers is not waited for without end', async () => {
  let gaveUp: AbortSignal | undefined;
  const silent = callAws(
    { action: 'cloudformation:DescribeStacks', on: 'baton-dev-nodes' },
    ({ abortSignal }) => {
      gaveUp = abortSignal;
      return new Promise(() => undefined);
    },
    { withinMs: 50 },
  );
  await expect(silent).rejects.toThrow('cloudformation does not answer within 0.05 s');
  expect(gaveUp?.aborted).toBe(true);
});

test('a local command loads nothing that only AWS needs', async () => {
  const told = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  const found = next(specifier, context);
  if (/client-(ecs|cloud|secrets)|emulator\\/aws\\/|\\/cdk\\//.test(found.url)) process.stderr.write('loaded ' + found.url + '\\n');
  return found;
} });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(told)}`;
  const loadedBy = async (...words: string[]): Promise<string[]> => {
    const { stderr } = await batonOnAws(stage.aws, words, { env: { NODE_OPTIONS } });
    return stderr.split('\n').filter((line) => line.startsWith('loaded '));
  };
  expect(await loadedBy('status', '--data', '/nonexistent')).toEqual([]);
  // The same look finds what there is to find.
  const inCloud = (await loadedBy('status', '--target', 'aws:dev')).join('\n');
  for (const part of ['client-ecs', 'client-cloudformation', 'emulator/aws/status.ts', 'cdk/stage.ts'])
    expect(inCloud).toContain(part);
  expect(inCloud).not.toContain('aws-cdk-lib');
});

test('without the clients of AWS it says what to install', async () => {
  const absent = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  if (!specifier.startsWith('@aws-sdk/client-cloudformation')) return next(specifier, context);
  throw Object.assign(new Error('no package'), { code: 'ERR_MODULE_NOT_FOUND' });
} });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(absent)}`;
  for (const words of [['status'], ['dlq', 'list']]) {
    const { code, stderr } = await batonOnAws(stage.aws, ['--target', 'aws:dev', ...words], {
      env: { NODE_OPTIONS },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^`--target aws:<stage>` needs what `npm ci` installs without --omit=dev: /);
  }
});
