import supertest from 'supertest';
import { LOGIN_ERROR_CODES, LoginError, type LoginErrorCode } from '../../lib/core/errors.js';
import { createRefuse, sendProblem } from '../../lib/http/respond.js';
import { describeEachFramework } from '../support/frameworks.js';
import { bearer, makeSite, showLogin } from './site.js';

const BARE = 'Bearer realm="login"';
const INVALID = `${BARE}, error="invalid_token", error_description="what is wrong"`;

/** The design's table. */
const TABLE: Readonly<Record<LoginErrorCode, readonly [status: number, challenge: string | undefined]>> = {
  no_token: [401, BARE],
  token_malformed: [401, INVALID],
  token_too_large: [401, INVALID],
  signature_invalid: [401, INVALID],
  key_unknown: [401, INVALID],
  algorithm_refused: [401, INVALID],
  type_refused: [401, INVALID],
  issuer_refused: [401, INVALID],
  audience_refused: [401, INVALID],
  claim_invalid: [401, INVALID],
  proof_required: [401, INVALID],
  token_expired: [401, INVALID],
  token_not_yet_valid: [401, INVALID],
  token_stale: [401, INVALID],
  user_refused: [401, INVALID],
  session_revoked: [401, INVALID],
  session_expired: [401, INVALID],
  session_idle: [401, INVALID],
  insufficient_user_authentication: [
    401,
    `${BARE}, error="insufficient_user_authentication", error_description="what is wrong", max_age="600", acr_values="mfa phr"`,
  ],
  session_limit: [403, undefined],
  scope_missing: [403, `${BARE}, error="insufficient_scope", error_description="what is wrong", scope="a b"`],
  cross_site: [403, undefined],
  session_not_found: [404, undefined],
  request_invalid: [400, undefined],
  keys_unavailable: [503, undefined],
  store_unavailable: [503, undefined],
};

test('the table has every code', () => {
  expect(Object.keys(TABLE).sort()).toEqual([...LOGIN_ERROR_CODES].sort());
});

describeEachFramework((_name, makeApp) => {
  test.each(LOGIN_ERROR_CODES)('%s', async (code) => {
    const [status, challenge] = TABLE[code];
    const error = new LoginError(code, 'what is wrong', {
      ...(code === 'scope_missing' && { scope: ['a', 'b'] }),
      ...(code === 'insufficient_user_authentication' && { maxAge: 600, acr: ['mfa', 'phr'] }),
      retryAfter: 2,
      cause: new Error('secret cause'),
    });
    const verify = (): never => {
      throw error;
    };
    const site = makeSite({ parts: { verifier: { verify, cached: verify } } });
    const app = makeApp();
    app.mount('/', site.login.required(), showLogin);

    const response = await supertest(app.listener).get('/').set(bearer('a.token.sent'));
    await site.close();

    expect(response.status).toBe(status);
    expect(response.headers['www-authenticate']).toBe(challenge);
    expect(response.headers['retry-after']).toBe(status === 503 ? '2' : undefined);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(response.body).toEqual({
      type: `urn:managed-sessions:problem:${code}`,
      title: error.title,
      status,
      detail: status === 503 ? 'The login cannot be checked at the moment. Try again shortly.' : 'what is wrong',
      code,
    });
    expect(response.text).not.toMatch(/a\.token\.sent|secret cause/);
  });

  test.each([
    ['signed_out', 'signed_out'],
    ['session_limit', 'session_limit'],
    ['suspected of fraud by J. Doe', undefined],
    ['', undefined],
  ])('the reason %j is told as %j', async (reason, told) => {
    const app = makeApp();
    app.mount('/', (_req, res) => sendProblem(res, new LoginError('session_revoked', 'It was ended', { reason })));
    const { body } = await supertest(app.listener).get('/').expect(401);
    expect(body.reason).toBe(told);
  });

  test('is answered once, whoever else answers', async () => {
    const refuse = createRefuse({});
    const app = makeApp();
    app.mount('/', (req, res, next) => {
      res.end('answered before');
      refuse(new LoginError('no_token', 'too late'), req, res, next);
    });
    const { text } = await supertest(app.listener).get('/').expect(200);
    expect(text).toBe('answered before');
  });
});
