/**
 * What can be wrong with the login of a request: one table of codes, with the status and the challenge (RFC 6750,
 * section 3; RFC 9470, section 3) of each.
 */

interface Kind {
  readonly status: number;
  readonly title: string;
  readonly challenge?: 'bare' | 'invalid_token' | 'insufficient_scope' | 'insufficient_user_authentication';
}

const invalidToken = (title: string): Kind => ({ status: 401, title, challenge: 'invalid_token' });
const unavailable = (title: string): Kind => ({ status: 503, title });

const KINDS = {
  no_token: { status: 401, title: 'Login required', challenge: 'bare' },

  token_malformed: invalidToken('The token is malformed'),
  token_too_large: invalidToken('The token is too large'),
  signature_invalid: invalidToken('The signature is invalid'),
  key_unknown: invalidToken('The signing key is unknown'),
  algorithm_refused: invalidToken('The algorithm is refused'),
  type_refused: invalidToken('The token type is refused'),
  issuer_refused: invalidToken('The issuer is refused'),
  audience_refused: invalidToken('The audience is refused'),
  claim_invalid: invalidToken('A claim is invalid'),
  proof_required: invalidToken('A proof of possession is required'),
  token_expired: invalidToken('The token expired'),
  token_not_yet_valid: invalidToken('The token is not valid yet'),
  token_stale: invalidToken('The token is stale'),
  user_refused: invalidToken('The user is refused'),

  session_revoked: invalidToken('The session was ended'),
  session_expired: invalidToken('The session expired'),
  session_idle: invalidToken('The session was idle for too long'),

  insufficient_user_authentication: {
    status: 401,
    title: 'A new sign-in is required',
    challenge: 'insufficient_user_authentication',
  },
  session_limit: { status: 403, title: 'Too many sessions' },
  scope_missing: { status: 403, title: 'Scope missing', challenge: 'insufficient_scope' },
  cross_site: { status: 403, title: 'Cross-site request refused' },
  session_not_found: { status: 404, title: 'Session not found' },
  request_invalid: { status: 400, title: 'Invalid request' },

  keys_unavailable: unavailable('The signing keys cannot be reached'),
  store_unavailable: unavailable('The session store cannot be reached'),
} as const satisfies Record<string, Kind>;

/** Every code a {@link LoginError} can carry. */
export type LoginErrorCode = keyof typeof KINDS;

/** The codes, for tests and exhaustive tables. */
export const LOGIN_ERROR_CODES = Object.keys(KINDS) as readonly LoginErrorCode[];

export interface LoginErrorDetails {
  /** The scopes that the route requires, for the challenge of `scope_missing`. */
  readonly scope?: readonly string[];
  /** For `insufficient_user_authentication`: how long ago the user may have signed in, in whole seconds. */
  readonly maxAge?: number;
  /** For `insufficient_user_authentication`: the values of the claim `acr` that the route accepts. */
  readonly acr?: readonly string[];
  /** For `Retry-After`, in seconds, at least 1. Default 1. Used only by the 503 codes. */
  readonly retryAfter?: number;
  /**
   * Why the session ended, for `session_revoked`: `session_limit`, `signed_out`, ... or an administrator's own reason. For
   * `token_stale`, the reason given to `expireTokens`.
   */
  readonly reason?: string;
  readonly cause?: unknown;
}

/**
 * A refused login. Never contains a token, a key or the value of a claim.
 *
 * `code` says what is wrong. `status` is the HTTP status. `headers` are those of the response (`WWW-Authenticate` by RFC
 * 6750 and RFC 9470, `Retry-After` by RFC 9110). `expose` says whether `message` may be shown to the client (as in http-errors:
 * if the status is below 500). `statusCode` is the status under the name that Nest and Koa read. `maxAge` and `acr` say what
 * sign-in is required, for `insufficient_user_authentication`: pass them to your provider as `max_age` and `acr_values`.
 */
export class LoginError extends Error {
  readonly code: LoginErrorCode;
  readonly status: number;
  readonly statusCode: number;
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expose: boolean;
  readonly reason: string | undefined;
  /** How long ago the user may have signed in, in whole seconds. Undefined: not asked for. */
  readonly maxAge: number | undefined;
  /** The values of the claim `acr` of which one is required. Undefined: not asked for. */
  readonly acr: readonly string[] | undefined;

  constructor(code: LoginErrorCode, message: string, details: LoginErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'LoginError';
    const kind: Kind = KINDS[code];
    this.code = code;
    this.status = kind.status;
    this.statusCode = kind.status;
    this.title = kind.title;
    this.expose = kind.status < 500;
    this.reason = details.reason;
    this.maxAge = details.maxAge;
    this.acr = details.acr;
    this.headers = headersOf(kind, message, details);
    made.add(this);
  }
}

const made = new WeakSet<object>();

/** Whether a thrown value is a {@link LoginError} of this package. Unlike `instanceof`, it runs no code of the value. */
export function isLoginError(thrown: unknown): thrown is LoginError {
  return typeof thrown === 'object' && thrown !== null && made.has(thrown);
}

function headersOf(kind: Kind, message: string, details: LoginErrorDetails): Record<string, string> {
  if (kind.status === 503) return { 'Retry-After': String(Math.max(1, Math.ceil(details.retryAfter ?? 1))) };
  if (kind.challenge === undefined) return {};
  if (kind.challenge === 'bare') return { 'WWW-Authenticate': 'Bearer realm="login"' };
  const attributes = {
    error: kind.challenge,
    error_description: message,
    scope: details.scope?.join(' '),
    max_age: details.maxAge?.toFixed(),
    acr_values: details.acr?.join(' '),
  };
  const given = Object.entries(attributes).filter((attribute) => attribute[1] !== undefined);
  const quoted = given.map(([name, value = '']) => `, ${name}="${quotable(value)}"`);
  return { 'WWW-Authenticate': `Bearer realm="login"${quoted.join('')}` };
}

/** RFC 6750 allows printable ASCII without `"` and `\` in its attributes. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, "'");
}
