import type { IncomingMessage } from 'node:http';
import { sessionUser } from '../../lib/core/session.js';
import { ISSUER, makeSite, START, tokenOf, type Site, type SiteOptions } from './site.js';

const ANN = sessionUser(ISSUER, 'ann');

let site: Site;

function newSite(options?: SiteOptions): Site {
  site = makeSite(options);
  return site;
}

afterEach(() => site.close());

describe('outside of a handler', () => {
  test('verify() resolves to user and session, with a signal that fires when it ends', async () => {
    const { login, account } = newSite();
    const token = tokenOf('s1');
    const { user, session } = await login.verify(token, { ip: '192.0.2.1', userAgent: 'Test/1.0' });
    expect(user).toMatchObject({ id: 'ann' });
    expect(session.startedAt).toEqual(new Date(START));
    expect(session.signal.aborted).toBe(false);
    expect(await account.get(ANN, session.handle)).toMatchObject({
      ip: '192.0.2.1',
      client: { userAgent: 'Test/1.0' },
    });
    await account.revoke(ANN, session.handle);
    expect(session.signal.aborted).toBe(true);
    await expect(login.verify(token)).rejects.toMatchObject({ code: 'session_revoked' });
  });

  test.each([
    ['', 'no_token'],
    [undefined, 'no_token'],
    [null, 'no_token'],
    [7, 'token_malformed'],
    [{}, 'token_malformed'],
    ['rubbish', 'token_malformed'],
    ['x'.repeat(9000), 'token_too_large'],
  ])('verify(%p) rejects', async (token, code) => {
    await expect(newSite().login.verify(token as string)).rejects.toMatchObject({ code });
  });

  function upgrade(headers: Record<string, string>, options?: { origins: string[] }): Promise<unknown> {
    const req = { headers: { host: 'shop.example', upgrade: 'websocket', ...headers }, rawHeaders: [], socket: {} };
    return newSite().login.authenticate(req as unknown as IncomingMessage, options);
  }

  test.each<[string, Record<string, string>]>([
    ['bearer', { authorization: `Bearer ${tokenOf('s1')}` }],
    ['bearer from our own page', { authorization: `Bearer ${tokenOf('s1')}`, origin: 'https://shop.example' }],
    ['a cookie from our own page', { cookie: `login_token=${tokenOf('s1')}`, origin: 'https://shop.example' }],
    ['a cookie of a client that is no browser', { cookie: `login_token=${tokenOf('s1')}` }],
  ])('authenticate() lets in %s', async (_name, headers) => {
    await expect(upgrade(headers)).resolves.toMatchObject({ user: { id: 'ann' } });
  });

  test("authenticate() refuses another site's page, unless it is named", async () => {
    const headers = { cookie: `login_token=${tokenOf('s1')}`, origin: 'https://www.shop.example' };
    await expect(upgrade(headers)).rejects.toMatchObject({ code: 'cross_site' });
    await expect(upgrade(headers, { origins: ['https://www.shop.example'] })).resolves.toBeDefined();
    await expect(upgrade({})).rejects.toMatchObject({ code: 'no_token' });
    // No script can set a header of a WebSocket: a gateway made it from a cookie.
    const added = { authorization: `Bearer ${tokenOf('s1')}`, origin: 'https://evil.example' };
    await expect(upgrade(added)).rejects.toMatchObject({ code: 'cross_site' });
  });

  test.each([[{ origin: ['https://a.example'] }], [{ origins: 'https://a.example' }], [{ origins: ['a.example'] }]])(
    'authenticate() with %j rejects',
    async (options) => {
      await expect(upgrade({}, options as never)).rejects.toThrow(/^authenticate\(\)/);
    },
  );
});
