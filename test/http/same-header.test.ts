/** A request with the same header as one before it: what it takes from that one, and what it must not. */

import { isLoginError } from '../../lib/core/errors.js';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import type { AppRequest } from '../../lib/http/app-request.js';
import type { LoginUser } from '../../lib/http/register.js';
import { ISSUER, makeSite, tokenOf, type Site, type SiteOptions } from './site.js';

const ANN = sessionUser(ISSUER, 'ann');
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';

let site: Site;

afterEach(() => site.close());

interface Rig {
  /** Passes a request through `optional()` a millisecond later. Resolves to the code of the refusal, or to the user. */
  send(headers: Record<string, string>, more?: Partial<AppRequest>): Promise<string | LoginUser>;
  /** Tokens that were verified, in the cache or not. */
  readonly verified: string[];
}

function rig(options: SiteOptions = {}): Rig {
  const verified: string[] = [];
  site = makeSite({
    ...options,
    parts: ({ verifier }) => ({
      verifier: {
        verify: (token) => {
          verified.push(token);
          return verifier.verify(token);
        },
        cached: (token) => verifier.cached(token),
      },
    }),
  });
  const gate = site.login.optional();
  return {
    verified,
    async send(headers, more = {}) {
      site.clock.time += 1;
      const all = { host: 'shop.example.com', 'user-agent': BROWSER, ...headers };
      const rawHeaders = Object.entries(all).flat();
      const req = { method: 'GET', url: '/', headers: all, rawHeaders, socket: {}, ...more } as unknown as AppRequest;
      await new Promise<void>((resolve, reject) => {
        gate(req, {} as never, (error?: unknown) => (error instanceof Error ? reject(error) : resolve()));
      });
      return isLoginError(req.loginError) ? req.loginError.code : (req.user as LoginUser);
    },
  };
}

/** Three requests: the store is asked, memory answers, and what it answered is remembered. */
async function warm({ send, verified }: Rig, headers: Record<string, string>): Promise<void> {
  for (let count = 0; count < 3; count += 1) await send(headers);
  verified.length = 0;
}

const WAYS: readonly [from: string, headersOf: (token: string) => Record<string, string>][] = [
  ['the header', (token) => ({ authorization: `Bearer ${token}` })],
  ['the cookie', (token) => ({ cookie: `theme=dark; login_token=${token}; lang=en` })],
];

describe.each(WAYS)('with %s', (_from, headersOf) => {
  test('is answered without a look at the token', async () => {
    const it = rig();
    const headers = headersOf(tokenOf('a1'));
    await warm(it, headers);
    expect(await it.send(headers)).toMatchObject({ id: 'ann' });
    expect(it.verified).toEqual([]);
  });

  test('has a user of its own', async () => {
    const it = rig();
    const headers = headersOf(tokenOf('a1', { name: 'Ann' }));
    await warm(it, headers);
    const first = (await it.send(headers)) as { name?: string; isAdmin?: boolean };
    first.name = 'Eve';
    first.isAdmin = true;
    const second = await it.send(headers);
    expect(second).toMatchObject({ name: 'Ann' });
    expect(second).not.toHaveProperty('isAdmin');
    expect(it.verified).toEqual([]);
  });

  test.each<[what: string, change: () => unknown, code: string]>([
    [
      'the session was revoked',
      () => site.ledger.revoke(ANN, { handle: sessionHandle(ANN, 'a1'), reason: 'x', by: null }),
      'session_revoked',
    ],
    [
      'all sessions of the user were',
      () => site.ledger.revokeAll(ANN, { except: null, reason: 'x', by: null }),
      'session_revoked',
    ],
    ['all sessions of all users were', () => site.ledger.endEverywhere({ reason: 'x', by: null }), 'session_revoked'],
    ['the token expired', () => (site.clock.time += 3_600_000), 'token_expired'],
    ['the clock tells no time', () => (site.clock.time = NaN), 'token_expired'],
  ])('is refused after %s', async (_what, change, code) => {
    const it = rig();
    const headers = headersOf(tokenOf('a1'));
    await warm(it, headers);
    await change();
    expect(await it.send(headers)).toBe(code);
  });

  test('is refused after a pause of the idle timeout', async () => {
    const it = rig({ policy: { idleTimeout: 600_000 } });
    const headers = headersOf(tokenOf('a1'));
    await warm(it, headers);
    site.clock.time += 600_000;
    expect(await it.send(headers)).toBe('session_idle');
  });

  test('is looked at again if the clock was set back', async () => {
    const it = rig();
    const headers = headersOf(tokenOf('a1'));
    await warm(it, headers);
    site.clock.time -= 3;
    expect(await it.send(headers)).toMatchObject({ id: 'ann' });
    expect(it.verified).toHaveLength(1);
  });

  test('is looked at again after a minute', async () => {
    const it = rig();
    const headers = headersOf(tokenOf('a1'));
    await warm(it, headers);
    site.clock.time += 60_000;
    expect(await it.send(headers)).toMatchObject({ id: 'ann' });
    expect(it.verified).toHaveLength(1);
  });

  test('is nobody else with a header that only ends the same', async () => {
    const it = rig();
    const token = tokenOf('a1');
    await warm(it, headersOf(token));
    const [header = '', payload = '', signature = ''] = token.split('.');
    const forged = Buffer.from(payload, 'base64url').toString().replace('ann', 'eve');
    const sent = headersOf([header, Buffer.from(forged).toString('base64url'), signature].join('.'));
    expect(await it.send(sent)).toBe('signature_invalid');
  });
});

describe('is not taken for an earlier one', () => {
  const token = tokenOf('a1');
  const authorization = `Bearer ${token}`;
  const byCookie = { cookie: `login_token=${token}` };

  test.each<[what: string, headers: Record<string, string>, more: Partial<AppRequest>, code: string]>([
    [
      'if the header was sent twice',
      { authorization },
      { rawHeaders: ['Authorization', authorization, 'authorization', authorization] },
      'token_malformed',
    ],
    [
      'if the application copied a cookie into the header, and another site may have sent it',
      { authorization, 'sec-fetch-site': 'cross-site' },
      { method: 'POST', rawHeaders: ['cookie', 'x'] },
      'cross_site',
    ],
    [
      'if another site may have sent it with the cookie',
      { ...byCookie, origin: 'https://evil.example' },
      { method: 'POST' },
      'cross_site',
    ],
    [
      'if it is an upgrade from another site',
      { ...byCookie, origin: 'https://evil.example', upgrade: 'websocket' },
      {},
      'cross_site',
    ],
    [
      'if cookie-parser found a wrong signature',
      byCookie,
      { signedCookies: { login_token: false } },
      'token_malformed',
    ],
    ['if the application has set the cookie', byCookie, { cookies: { login_token: 'x.y.z' } }, 'token_malformed'],
    ['if an earlier source has a bad token', { ...byCookie, authorization: 'Bearer x.y.z' }, {}, 'token_malformed'],
  ])('%s', async (_what, headers, more, code) => {
    const it = rig();
    await warm(it, { authorization });
    await warm(it, byCookie);
    expect(await it.send(headers, more)).toBe(code);
  });

  test('if a function comes first: it is asked each time', async () => {
    const found = [token, token, token, tokenOf('b1', { sub: 'bob' })];
    const it = rig({ from: [() => found.shift(), 'bearer'] });
    await warm(it, { authorization });
    expect(await it.send({ authorization })).toMatchObject({ id: 'bob' });
  });

  test('if a function found the token because the header had none', async () => {
    const found = [token, token, token, undefined];
    const it = rig({ from: ['bearer', () => found.shift()] });
    await warm(it, { authorization: 'Basic YW5uOnNlY3JldA==' });
    expect(await it.send({ authorization: 'Basic YW5uOnNlY3JldA==' })).toBe('no_token');
  });
});
