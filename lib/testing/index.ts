import '../node-version.js';

export { createTestClock } from './clock.js';
export type { TestClock } from './clock.js';
export { createTestIssuer } from './issuer.js';
export type { IssueOptions, TestAlgorithm, TestIssuer, TestIssuerOptions } from './issuer.js';
export { signIn } from './sign-in.js';
export type { TestAgent } from './sign-in.js';
export { describeSessionStore } from './store-contract.js';
export type { StoreUnderTest } from './store-contract.js';
