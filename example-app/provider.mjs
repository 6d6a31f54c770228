// @ts-check
/** What the site asks of the identity provider. */

const TIMEOUT = 5000;

/**
 * @param {string} tokenUrl
 * @returns {(form: Record<string, string>) => Promise<string | undefined>} resolves to a login token, or to undefined if the
 *   provider refuses. Rejects if the provider cannot be asked.
 */
export function createProvider(tokenUrl) {
  return async function requestToken(form) {
    const response = await fetch(tokenUrl, {
      method: 'POST',
      body: new URLSearchParams(form),
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.status === 401) return undefined;
    if (!response.ok) throw new Error(`The provider answered ${String(response.status)}`);
    const answer = /** @type {{ login_token: string }} */ (await response.json());
    return answer.login_token;
  };
}
