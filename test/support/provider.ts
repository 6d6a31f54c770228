/** Runs the real `oidc-provider` for a test: see oidc-provider.mjs. */

import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';

export interface OidcProvider {
  readonly issuer: string;
  /** A JWT access token for `audience`, by client credentials; RS256, or ES256 where the audience ends in `/ec`. */
  accessToken(audience: string): Promise<string>;
  /** Signs a person in to a client, by default `shop`, with the authorization code flow, in a browser of its own. */
  signIn(user: string, audience: string, client?: 'shop' | 'web' | 'web-by-subject'): Promise<ProviderLogin>;
  /** Replaces all of its keys. */
  rotateKeys(): Promise<void>;
  /** Logout tokens go to this site, below `/backchannel-logout`. */
  sendLogoutsTo(url: string): Promise<void>;
  /** What came of each logout token so far: `success`, or an error's message. */
  readonly logouts: readonly string[];
  /** Its clock goes on from this time, in milliseconds since 1970. */
  setTime(time: number): Promise<void>;
  close(): Promise<void>;
}

export interface ProviderLogin {
  /** The JWT access token that came last. */
  readonly accessToken: string;
  /** Sends the same browser to the provider again, with these parameters. Resolves to whether the user was asked to sign in. */
  again(asked: Readonly<Record<string, string>>): Promise<boolean>;
  /** Gets a new access token, and a new refresh token in place of the one that it uses. */
  refresh(): Promise<void>;
  /** The person signs out at the provider, which sends logout tokens before this resolves. */
  signOut(): Promise<void>;
}

const BACK = 'https://shop.example.com/back';

/** A browser, as far as the provider needs one. */
class Browser {
  readonly #cookies = new Map<string, string>();

  async request(url: URL, form?: Readonly<Record<string, string>>): Promise<{ response: Response; text: string }> {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: Array.from(this.#cookies, ([name, value]) => `${name}=${value}`).join('; ') },
      ...(form !== undefined && { method: 'POST', body: new URLSearchParams(form) }),
    });
    const text = await response.text();
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(name, value);
    }
    return { response, text };
  }

  /** How often the provider has asked who is there. */
  prompts = 0;

  /** From the authorization endpoint over the sign-in and back to the client with a code. */
  async codeFor(start: URL, user: string): Promise<string> {
    for (let location = start; ;) {
      const isForm = location.pathname.startsWith('/interaction/');
      if (isForm) this.prompts += 1;
      const { response } = await this.request(location, isForm ? { login: user } : undefined);
      location = new URL(response.headers.get('location') ?? '', location);
      const code = location.searchParams.get('code');
      if (code !== null && location.href.startsWith(BACK)) return code;
      if (location.origin !== start.origin) throw new Error(`The provider sent the browser to ${location.href}`);
    }
  }

  async signOut(issuer: string): Promise<void> {
    const { text } = await this.request(new URL('/session/end', issuer));
    const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(text) ?? [];
    const { response } = await this.request(new URL('/session/end/confirm', issuer), { xsrf, logout: 'yes' });
    expect(response.status).toBe(303);
  }
}

interface Tokens {
  readonly access: string;
  readonly refresh: string;
}

export async function startOidcProvider(): Promise<OidcProvider> {
  const child = fork(join(__dirname, 'oidc-provider.mjs'), { silent: true });
  const [{ issuer }] = await once(child, 'message');

  const logouts: string[] = [];
  child.on('message', (message: object) => {
    if ('logout' in message) logouts.push(String(message.logout));
  });

  async function tokens(client: string, body: Readonly<Record<string, string>>): Promise<Tokens> {
    const headers = { authorization: `Basic ${Buffer.from(`${client}:${client}-secret`).toString('base64')}` };
    const request = { method: 'POST', headers, body: new URLSearchParams(body) };
    const answer: unknown = await (await fetch(`${issuer}/token`, request)).json();
    expect(answer).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) });
    const { access_token: access, refresh_token: refresh } = answer as Record<'access_token' | 'refresh_token', string>;
    return { access, refresh };
  }

  return {
    issuer,
    logouts,
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
    async signIn(user, audience, client = 'shop') {
      const browser = new Browser();

      async function authorize(asked: Readonly<Record<string, string>>): Promise<Tokens> {
        const verifier = randomBytes(32).toString('base64url');
        const start = new URL(`${String(issuer)}/auth`);
        start.search = new URLSearchParams({
          client_id: client,
          redirect_uri: BACK,
          response_type: 'code',
          scope: 'openid orders:read',
          resource: audience,
          code_challenge: createHash('sha256').update(verifier).digest('base64url'),
          code_challenge_method: 'S256',
          ...asked,
        }).toString();
        const code = await browser.codeFor(start, user);
        const grant = { grant_type: 'authorization_code', code, redirect_uri: BACK, code_verifier: verifier };
        return tokens(client, grant);
      }

      let { access, refresh } = await authorize({});
      return {
        async again(asked) {
          const before = browser.prompts;
          ({ access, refresh } = await authorize(asked));
          return browser.prompts > before;
        },
        get accessToken() {
          return access;
        },
        async refresh() {
          const used = refresh;
          ({ access, refresh } = await tokens(client, { grant_type: 'refresh_token', refresh_token: used }));
          expect(refresh).not.toBe(used);
        },
        signOut: () => browser.signOut(issuer),
      };
    },
    async rotateKeys() {
      child.send('rotate');
      await once(child, 'message');
    },
    async sendLogoutsTo(logoutAt) {
      child.send({ logoutAt });
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
