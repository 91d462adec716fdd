import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    // Tests start real servers: two files at a time even on one core, not more than four.
    maxWorkers: Math.min(4, Math.max(2, availableParallelism())),
    // A detector of hangs, not a limit on how long a test may take.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    reporters: ['default', './scripts/count-reporter.ts'],
  },
});
