// What a test starts and waits for: its end, and the end of what it started in turn.
import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { runProcess } from '../../support/run-process.ts';

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
/** Says the pid of a child that takes a moment to end. */
const parent = (then: string): string => `
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, ['-e', \`
    process.on('SIGTERM', () => setTimeout(() => process.exit(), 300));
    console.log('ready');
    setInterval(() => {}, 1000);
  \`]);
  child.stdout.once('data', () => { console.log('child ' + child.pid); ${then} });
`;

test('a process that ends is told with its code and what it said', async () => {
  const ended = await runProcess(['-e', 'console.log("one"); console.error("two"); process.exit(3)'], {
    withinMs: 20_000,
  });
  expect(ended).toEqual({ status: 3, stdout: 'one\n', stderr: 'two\n' });
});

test('a process that is late is ended with its children, which end in order', async () => {
  const late = runProcess(['-e', parent('')], { withinMs: 3_000 });
  const message = await late.then(
    () => 'in time',
    (error: Error) => error.message,
  );
  expect(message).toMatch(/not within 3 s\nchild \d+/);
  expect(isAlive(Number(/child (\d+)/.exec(message)?.[1]))).toBe(false);
});

test('a child that outlives the process is ended with it', async () => {
  const { stdout } = await runProcess(['-e', parent('child.stdout.destroy(); process.exit();')], {
    withinMs: 20_000,
  });
  const pid = Number(/child (\d+)/.exec(stdout)?.[1]);
  expect(await until(() => !isAlive(pid), 5_000, 'its end')).toBe(true);
});
