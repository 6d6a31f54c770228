/** Runs the real `oidc-provider` for a test: see oidc-provider.mjs. */

import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';

export interface OidcProvider {
  readonly issuer: string;
  /** A JWT access token for `audience`, by client credentials; RS256, or ES256 where the audience ends in `/ec`. */
  accessToken(audience: string): Promise<string>;
  /** Signs a person in, with the authorization code flow, in a browser of its own. */
  signIn(user: string, audience: string): Promise<ProviderLogin>;
  /** Replaces all of its keys. */
  rotateKeys(): Promise<void>;
  /** Its clock goes on from this time, in milliseconds since 1970. */
  setTime(time: number): Promise<void>;
  close(): Promise<void>;
}

export interface ProviderLogin {
  /** The JWT access token that came last. */
  readonly accessToken: string;
  /** Gets a new access token, and a new refresh token in place of the one that it uses. */
  refresh(): Promise<void>;
}

const SHOP = {
  headers: { authorization: `Basic ${Buffer.from('shop:shop-secret').toString('base64')}` },
  back: 'https://shop.example.com/back',
} as const;

/** The browser's part of the flow: from the authorization endpoint over the sign-in and back to the client with a code. */
async function codeFor(start: URL, user: string): Promise<string> {
  const cookies = new Map<string, string>();
  for (let location = start; ;) {
    const isForm = location.pathname.startsWith('/interaction/');
    const response = await fetch(location, {
      redirect: 'manual',
      headers: { cookie: Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ') },
      ...(isForm && { method: 'POST', body: new URLSearchParams({ login: user }) }),
    });
    await response.text();
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(name, value);
    }
    location = new URL(response.headers.get('location') ?? '', location);
    const code = location.searchParams.get('code');
    if (code !== null && location.href.startsWith(SHOP.back)) return code;
    if (location.origin !== start.origin) throw new Error(`The provider sent the browser to ${location.href}`);
  }
}

export async function startOidcProvider(): Promise<OidcProvider> {
  const child = fork(join(__dirname, 'oidc-provider.mjs'), { silent: true });
  const [{ issuer }] = await once(child, 'message');

  async function tokens(body: Readonly<Record<string, string>>): Promise<{ access: string; refresh: string }> {
    const request = { method: 'POST', headers: SHOP.headers, body: new URLSearchParams(body) };
    const answer: unknown = await (await fetch(`${issuer}/token`, request)).json();
    expect(answer).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) });
    const { access_token: access, refresh_token: refresh } = answer as Record<'access_token' | 'refresh_token', string>;
    return { access, refresh };
  }

  return {
    issuer,
    async accessToken(audience) {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from('orders-job:orders-job-secret').toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience, scope: 'orders:read' }),
      });
      const body: unknown = await response.json();
      expect(body).toMatchObject({ token_type: 'Bearer', access_token: expect.any(String) });
      return (body as { access_token: string }).access_token;
    },
    async signIn(user, audience) {
      const verifier = randomBytes(32).toString('base64url');
      const start = new URL(`${String(issuer)}/auth`);
      start.search = new URLSearchParams({
        client_id: 'shop',
        redirect_uri: SHOP.back,
        response_type: 'code',
        scope: 'openid orders:read',
        resource: audience,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }).toString();
      const code = await codeFor(start, user);
      const grant = { grant_type: 'authorization_code', code, redirect_uri: SHOP.back, code_verifier: verifier };
      let { access, refresh } = await tokens(grant);
      return {
        get accessToken() {
          return access;
        },
        async refresh() {
          const used = refresh;
          ({ access, refresh } = await tokens({ grant_type: 'refresh_token', refresh_token: used }));
          expect(refresh).not.toBe(used);
        },
      };
    },
    async rotateKeys() {
      child.send('rotate');
      await once(child, 'message');
    },
    async setTime(time) {
      child.send({ time });
      await once(child, 'message');
    },
    async close() {
      child.disconnect();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
