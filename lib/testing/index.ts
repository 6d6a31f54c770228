import '../node-version.js';

export { createTestClock } from './clock.js';
export type { TestClock } from './clock.js';
export type { TestDevice } from './devices.js';
export { createTestIssuer } from './issuer.js';
export type { IssueOptions, TestAlgorithm, TestIssuer, TestIssuerOptions, TestProvider } from './issuer.js';
export { signIn } from './sign-in.js';
export type { SignInOptions, TestAgent } from './sign-in.js';
export { createTestStore } from './store.js';
export type { TestStore, TestStoreOptions } from './store.js';
export { describeSessionStore } from './store-contract.js';
export type { StoreUnderTest } from './store-contract.js';
