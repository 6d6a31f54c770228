/**
 * Reads login tokens in the browser, for display only: nothing here is verified, the server does that.
 * No dependencies; for a bundler, a plain `<script type="module">` and CommonJS alike.
 */

// Declared here, and no wider than used, so that the module needs neither the types of the DOM nor those of Node.
declare function atob(base64: string): string;
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean });
  decode(bytes: Uint8Array): string;
}

/** What a token claims. Not verified and not checked: each claim is unknown until you look at it. */
export type LoginClaims = Readonly<Record<string, unknown>>;

export interface ExpiryOptions {
  /** Milliseconds that clocks may disagree by; default 0. */
  readonly clockTolerance?: number;
  /** Milliseconds since 1970; default the present moment. */
  readonly now?: number;
}

/** The claims of a JWT in its compact form (RFC 7519), in UTF-8; `null` for whatever is no such token. Verifies nothing. */
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
 * Whether the claims ran out, by the clock of this device. Without `exp` they never do; an `exp` that is no number, and
 * nothing in place of claims, count as expired.
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
