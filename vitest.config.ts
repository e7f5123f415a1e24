import { defineConfig } from 'vitest/config';

// Three speeds. `npm test` runs unit, integration and browser (3 minutes or less on two cores);
// `npm run test:all` adds the long ones: whole-system runs with faults, real peers and full simulations.
const timeouts = { testTimeout: 30_000, hookTimeout: 60_000 };
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...timeouts } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...timeouts } },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          ...timeouts,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
