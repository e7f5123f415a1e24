// The borders of the tree hold because tools refuse what crosses them. Each border is crossed on purpose here, in a
// copy, and the very check of `npm run check` has to say so: a check that cannot fail keeps nothing.
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);
let copy: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'baton-architecture-'));
  await copyFile(join(root, '.oxlintrc.json'), join(copy, '.oxlintrc.json'));
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
});
afterAll(() => rm(copy, { recursive: true, force: true }));

/** @returns the exit code and what was said. */
async function inCopy(tool: string, args: readonly string[]): Promise<{ code: number; said: string }> {
  try {
    const { stdout, stderr } = await run(join(root, 'node_modules', '.bin', tool), [...args], { cwd: copy });
    return { code: 0, said: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, said: stdout + stderr };
  }
}
async function plant(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(copy, file)), { recursive: true });
  await writeFile(join(copy, file), text);
}

describe('imports point one way', () => {
  test.each([
    ['contracts/planted.ts', '../runtime/logger.ts'],
    ['runtime/planted.ts', '../nodes/node.ts'],
    ['nodes/planted.ts', '../functions/dead-letter.ts'],
    ['functions/scraper/planted.ts', '../../nodes/store.ts'],
    ['cdk/planted.ts', '../runtime/config.ts'],
    ['emulator/planted.ts', '../nodes/node.ts'],
    ['emulator/planted.ts', '../cdk/stage.ts'],
    ['emulator/aws/planted.ts', '../../nodes/node.ts'],
    ['emulator/aws/planted.ts', '../../cdk/nodes-stack.ts'],
    ['emulator/aws/planted.ts', '../../cdk/command/deploy.ts'],
    // What the command line reads of cdk stays free of the CDK.
    ['cdk/stage.ts', 'aws-cdk-lib/aws-logs'],
    ['cdk/names.ts', 'aws-cdk-lib'],
    ['cdk/stage.ts', '../runtime/config.ts'],
  ])('lint refuses an import in %s of %s', async (file, target) => {
    await plant(file, `import { thing } from '${target}';\nprocess.stdout.write(String(thing));\n`);
    const { code, said } = await inCopy('oxlint', ['--deny-warnings', file]);
    expect(said).toContain('no-restricted-imports');
    expect(code).not.toBe(0);
  });

  test.each([
    ['functions/allowed.ts', '../contracts/ids.ts'],
    ['emulator/aws/allowed.ts', '../../cdk/stage.ts'],
    ['emulator/aws/allowed.ts', '../../cdk/names.ts'],
    ['cdk/allowed-stack.ts', 'aws-cdk-lib'],
  ])('lint lets an import in %s of %s pass', async (file, target) => {
    await plant(file, `import { thing } from '${target}';\nprocess.stdout.write(String(thing));\n`);
    expect(await inCopy('oxlint', ['--deny-warnings', file])).toMatchObject({ code: 0 });
  });
});

describe('the election core is pure', () => {
  test.each([
    ['a Node module', `import { readFileSync } from 'node:fs';\nexport const text = readFileSync('x');\n`],
    ['a timer', 'export const timer = setTimeout(() => undefined, 1);\n'],
    ['a log line', "console.log('x');\nexport {};\n"],
  ])('types refuse %s inside nodes/raft', async (_what, text) => {
    await mkdir(join(copy, 'nodes', 'raft'), { recursive: true });
    await copyFile(join(root, 'tsconfig.json'), join(copy, 'tsconfig.json'));
    await copyFile(
      join(root, 'nodes', 'raft', 'tsconfig.json'),
      join(copy, 'nodes', 'raft', 'tsconfig.json'),
    );
    await plant('nodes/raft/planted.ts', text);
    const { code, said } = await inCopy('tsc', ['--noEmit', '-p', 'nodes/raft']);
    expect(said).toContain('planted.ts');
    expect(code).not.toBe(0);
  });

  test('lint refuses the clock and chance inside nodes/raft', async () => {
    await plant('nodes/raft/planted.ts', 'export const now = Date.now() + Math.random();\n');
    const { code, said } = await inCopy('oxlint', ['--deny-warnings', 'nodes/raft/planted.ts']);
    expect(said).toContain('Date');
    expect(said).toContain('Math');
    expect(code).not.toBe(0);
  });
});
