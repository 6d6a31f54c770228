import { latestTestIssuer, type TestIssuer } from './issuer.js';

/** The part of a `supertest` agent that is used: headers for all of its requests. */
export interface TestAgent {
  set(name: string, value: string): unknown;
}

/**
 * Signs an agent in: from now on, it sends a token with these claims with every request. Returns the token. Each call is a
 * new session, unless the claims have a `sid`. `issuer`: default the one that was created last. Throws if there is none.
 */
export function signIn(
  agent: TestAgent,
  claims: Readonly<Record<string, unknown>> = {},
  issuer: Pick<TestIssuer, 'issue'> = latestTestIssuer(),
): string {
  const token = issuer.issue(claims);
  agent.set('Authorization', `Bearer ${token}`);
  return token;
}
