import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// `npm test` runs unit, integration, browser and cdk. `npm run test:all` adds whole systems with faults (system), then
// mutations and outages that take minutes each (long). `npm run test:compose` needs Docker.
// A poll waits for what must come, and a busy machine can stand still for longer than the second of its default.
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 10_000 } } };
// Most of them wait more than they compute: two at a time on two cores, where vitest would take one.
const sideBySide = { maxWorkers: Math.max(2, availableParallelism() - 1), sequence: { groupOrder: 0 } };
const oneByOne = { fileParallelism: false, sequence: { groupOrder: 1 } };
// CI adds the reports of all runs up, so that skipped and failed tests are named.
const reports = process.env['BATON_TEST_REPORTS'];
export default defineConfig({
  test: {
    ...(reports === undefined
      ? {}
      : { reporters: ['default', ['json', { outputFile: join(reports, `${process.pid}.json`) }]] }),
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...timeouts, ...sideBySide } },
      {
        test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...timeouts, ...sideBySide },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          ...timeouts,
          ...oneByOne,
        },
      },
      {
        test: {
          name: 'cdk',
          include: ['test/cdk/**/*.test.ts'],
          ...timeouts,
          // Loading aws-cdk-lib takes most of the time, so it is loaded once, and each stage is synthesized once.
          isolate: false,
          ...oneByOne,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          ...timeouts,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          ...oneByOne,
        },
      },
      {
        // Containers, on fixed ports: one file at a time. Skipped, and said so, where Docker does not answer.
        test: {
          name: 'compose',
          include: ['test/compose/**/*.test.ts'],
          ...timeouts,
          hookTimeout: 120_000,
          ...oneByOne,
        },
      },
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          ...timeouts,
          testTimeout: 600_000,
          hookTimeout: 120_000,
          // Of tests that say that they may run side by side.
          maxConcurrency: availableParallelism(),
          ...oneByOne,
        },
      },
    ],
  },
});
