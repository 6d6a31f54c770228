export { describeSessionStore } from '../lib/testing/store-contract.js';
