import { isIP } from 'node:net';
import { aString, checkKind, checkOptions, isObject, required, type Kind, type OptionKinds } from '../core/check.js';
import { userAgentOf, type TestDevice } from './devices.js';
import { latestTestIssuer, type TestIssuer } from './issuer.js';

/** The part of a `supertest` agent that is used: headers for all of its requests. */
export interface TestAgent {
  set(name: string, value: string): unknown;
}

export interface SignInOptions {
  /** What it signs in on: a name such as `'iPhone'` or `'Chrome on Windows'`, or a user agent. Default: the agent's own. */
  readonly device?: TestDevice | (string & {});
  /**
   * From where: sent as `X-Forwarded-For`, which counts only if the application trusts a proxy on loopback: in Express,
   * `app.set('trust proxy', 'loopback')`. Default: no such header.
   */
  readonly ip?: string;
  /** Who issues the token. Default: of those that are not closed, the one that was created last. */
  readonly issuer?: Pick<TestIssuer, 'issue'>;
}

const OPTIONS: OptionKinds<SignInOptions> = {
  device: aString,
  ip: {
    accepts: (value) => typeof value === 'string' && isIP(value) !== 0,
    words: "an IP address such as '203.0.113.7'",
  },
  issuer: {
    accepts: (value) => isObject(value) && typeof value['issue'] === 'function',
    words: 'an issuer of createTestIssuer()',
  },
};

const AN_AGENT: Kind = {
  accepts: (value) =>
    (isObject(value) || typeof value === 'function') && 'set' in value && typeof value['set'] === 'function',
  words: 'an agent such as request.agent(app) of supertest',
};

/**
 * Signs an agent in: from now on, it sends a token with these claims in each request. Returns the token. Each call is a new
 * session, unless the claims name one. Throws if no issuer is open, and a `TypeError` if an argument or an option is invalid.
 */
export function signIn(
  agent: TestAgent,
  claims: Readonly<Record<string, unknown>> = {},
  options: SignInOptions = {},
): string {
  checkKind(agent, 'signIn(): agent', required(AN_AGENT));
  checkOptions(options, 'signIn()', OPTIONS);
  const { device, ip, issuer = latestTestIssuer() } = options;
  const token = issuer.issue(claims);
  agent.set('Authorization', `Bearer ${token}`);
  if (device !== undefined) agent.set('User-Agent', userAgentOf(device));
  if (ip !== undefined) agent.set('X-Forwarded-For', ip);
  return token;
}
