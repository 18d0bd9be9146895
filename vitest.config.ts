import { defineConfig } from 'vitest/config';

const project = (name: string, timeout: number) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: 60_000,
  },
});

export default defineConfig({
  test: {
    pool: 'forks',
    // Suites start servers and processes of their own; more at a time only slows each down on two cores.
    maxWorkers: 2,
    teardownTimeout: 20_000,
    projects: [project('unit', 20_000), project('integration', 60_000), project('e2e', 180_000)],
  },
});
