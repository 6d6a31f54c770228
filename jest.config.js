import { availableParallelism } from 'node:os';

/** Transpiled only: `npm run typecheck` checks the types. CommonJS, as in the suites of those who use the package. */
const tsconfig = { module: 'commonjs', target: 'es2023', esModuleInterop: true, isolatedModules: true };

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig }] },
  globalSetup: '<rootDir>/test/support/global-setup.cjs',
  setupFiles: ['<rootDir>/test/support/fixed-seed.cjs'],
  testSequencer: '<rootDir>/test/support/longest-first.cjs',
  // A hang ends here; a busy machine must not.
  testTimeout: 300_000,
  // The longest tests wait for servers more than they compute.
  maxWorkers: Math.ceil(1.5 * availableParallelism()),
};
