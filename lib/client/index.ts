/**
 * Reads login tokens in the browser, for display only. Nothing is verified here: that is the server's task.
 * No dependencies. Works with a bundler, as a plain `<script type="module">`, and with CommonJS.
 */

// Declared here, as far as they are used, so that the module needs neither the types of the DOM nor those of Node.
declare function atob(base64: string): string;
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean });
  decode(bytes: Uint8Array): string;
}

/** The claims of a token. They are not verified, and the type of each is unknown until you check it. */
export type LoginClaims = Readonly<Record<string, unknown>>;

export interface ExpiryOptions {
  /** How far clocks may differ, in milliseconds. Default 0. */
  readonly clockTolerance?: number;
  /** Milliseconds since 1970. Default now. */
  readonly now?: number;
}

/** The claims of a JWT in compact form (RFC 7519), in UTF-8; `null` for anything else. Verifies nothing. */
export function parseLoginToken(token: unknown): LoginClaims | null {
  const payload = typeof token === 'string' && /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)?.[1];
  if (!payload) return null;
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isObject(claims) ? claims : null;
  } catch {
    return null;
  }
}

/**
 * Whether the claims have expired, by the clock of this device. Without `exp`, they never expire. If `exp` is not a number,
 * or if there are no claims, they count as expired.
 */
export function isExpired(
  claims: LoginClaims | null | undefined,
  { clockTolerance = 0, now = Date.now() }: ExpiryOptions = {},
): boolean {
  if (!claims) return true;
  const { exp } = claims;
  if (exp === undefined) return false;
  return typeof exp !== 'number' || now >= exp * 1000 + clockTolerance;
}

function isObject(value: unknown): value is LoginClaims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
export { watchSession } from './watch-session.js';
export type { WatchOptions } from './watch-session.js';
