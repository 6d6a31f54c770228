import { latestTestIssuer, type TestIssuer } from './issuer.js';

/** What is used of a `supertest` agent: headers that go with all of its requests. */
export interface TestAgent {
  set(name: string, value: string): unknown;
}

/**
 * Signs an agent in: a token with these claims goes with all of its requests from now on. Returns the token. Each call is
 * a new session, unless the claims say `sid`. `issuer`: default the one that was created last. Throws where there is none.
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
