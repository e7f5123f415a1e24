// Every process starts with exactly the variables that its template gives it: the zips as they are uploaded, each alone
// in a folder and with nothing else in its environment, and a node's own main.ts.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionNames } from '../../contracts/topology.ts';
import { bundleAll, bundleEntry } from '../../functions/bundle.ts';
import { deployedContract, operations } from './contract.ts';
import { region } from './resolve.ts';
import { synthesized } from './synthesize.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { variables } = deployedContract(synthesized('dev').resources, 'dev');
/** What Lambda and ECS add by themselves, as far as anything here reads it. */
const byRuntime = { AWS_REGION: region };
const outOfReach = {
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
};
const startWithinMs = 30_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-handlers-'));
  const bundles = [
    ...Object.values(await bundleAll({ zipFolder: folder })),
    ...(await Promise.all(
      operations.map((name) =>
        bundleEntry({
          name,
          entryFile: join(root, 'functions', 'deploy', name, 'handler.ts'),
          zipFolder: folder,
        }),
      ),
    )),
  ];
  for (const { name, zipFile } of bundles) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'index.mjs'), unzipSync(await readFile(zipFile))['index.mjs'] ?? '');
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}
const run = (
  args: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(process.execPath, args, { ...options, timeout: startWithinMs }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? null) : 0, stdout, stderr }),
    );
  });
const start = (name: string, env: Readonly<Record<string, string>>) =>
  run(['--input-type=module', '-e', "process.stdout.write(typeof (await import('./index.mjs')).handler)"], {
    cwd: join(folder, name),
    env,
  });

describe('handlers', () => {
  const processes = [...functionNames, ...operations];

  test.each(processes)('handlers: %s starts with the variables of its template', async (name) => {
    expect(await start(name, { ...variables.get(name), ...byRuntime })).toEqual({
      code: 0,
      stdout: 'function',
      stderr: '',
    });
  });

  test('handlers: one variable less, and each says which one is missing', async () => {
    for (const name of processes) {
      const [[missing] = [], ...others] = Object.entries(variables.get(name) ?? {});
      const { code, stderr } = await start(name, { ...Object.fromEntries(others), ...byRuntime });
      expect({ name, code }).toEqual({ name, code: 1 });
      expect(stderr).toContain(missing);
    }
  });

  test.each(operations)(
    'handlers: %s called by hand does its work, up to the secrets out of reach',
    async (name) => {
      const call =
        "const { handler } = await import('./index.mjs'); await handler({}, { getRemainingTimeInMillis: () => 20_000 })";
      const { code, stderr } = await run(['--input-type=module', '-e', call], {
        cwd: join(folder, name),
        env: { ...variables.get(name), ...byRuntime, ...outOfReach },
      });
      expect(stderr).toMatch(/secret \S+ cannot be read/);
      expect(code).toBe(1);
    },
  );

  test('nodes: each takes its variables, and is stopped by nothing but secrets that are out of reach', async () => {
    const nodes = [...variables].filter(([name]) => name.startsWith('node-'));
    expect(nodes).toHaveLength(3);
    for (const [, deployed] of nodes) {
      const { code, stderr } = await run(['nodes/main.ts'], {
        cwd: root,
        env: {
          ...deployed,
          ...byRuntime,
          ...outOfReach,
        },
      });
      expect(stderr).toContain(`secret ${deployed['BATON_TLS_CA_URI']} cannot be read`);
      expect(code).toBe(1); // 2 is said for wrong variables.
    }
  });
});
