/** Runs the real `oidc-provider` for a test: see oidc-provider.mjs. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface OidcProvider {
  readonly issuer: string;
  /** A JWT access token for `audience`, by client credentials; RS256, or ES256 where the audience ends in `/ec`. */
  accessToken(audience: string): Promise<string>;
  /** Replaces all of its keys. */
  rotateKeys(): Promise<void>;
  close(): Promise<void>;
}

export async function startOidcProvider(): Promise<OidcProvider> {
  const child = fork(join(__dirname, 'oidc-provider.mjs'), { silent: true });
  const [{ issuer }] = await once(child, 'message');
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
    async rotateKeys() {
      child.send('rotate');
      await once(child, 'message');
    },
    async close() {
      child.disconnect();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
