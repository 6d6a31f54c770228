/** Names that people know from other packages, or put in another place, and what to write instead. */

/** By the name in lower case. The text follows a colon. */
export type Advice = Readonly<Record<string, string>>;

const atIssuer = (name: string): string => `it is an option of the issuer: issuer: { issuer, ${name} }`;
const atCookie = (name: string): string => `it is an option of the cookie: cookie: { ${name} }`;
const atStore = 'it is an option of the store: store: redisStore(url, { prefix, minReplicas })';
const atRouter = (name: string): string => `it is an option of router(): router({ ${name} })`;
const here = (name: string): string => `it is an option of managedSessions(): managedSessions({ ${name} })`;
const called = (name: string): string => `here it is called ${name}`;

function each(names: readonly string[], text: (name: string) => string): Advice {
  return Object.fromEntries(names.map((name) => [name.toLowerCase(), text(name)] as const));
}

/** The same text for several names. */
function all(names: string, text: string): Advice {
  return each(names.split(' '), () => text);
}

const ISSUER_NAMES = [
  ...['audience', 'jwksUri', 'secret', 'publicKey', 'discover', 'algorithms', 'clockTolerance', 'types', 'claims'],
  ...['keysMaxAge', 'keysMaxStale', 'session', 'began', 'subject', 'profile', 'scopes', 'senderConstrained'],
  ...['withoutIssuer'],
];
const COOKIE_NAMES = ['path', 'domain', 'sameSite', 'secure', 'partitioned'];
const ROUTER_NAMES = ['locate', 'messages', 'stylesheet', 'layout', 'formTargets', 'timeZone'];
const TOP_NAMES = [
  ...['store', 'from', 'cookie', 'user', 'lifetime', 'idleTimeout', 'maxSessionsPerUser', 'atSessionLimit', 'track'],
  ...['activityInterval', 'revocationBound', 'tombstoneFor', 'whenStoreDown', 'storeTimeout', 'recordIp', 'trustProxy'],
  ...['client', 'onRefused', 'loginUrl', 'handleSecret', 'clientHints', 'clock', 'maxTokenLength', 'origins'],
];

const TOKEN_FUNCTION = 'here it is called from: from: (req) => token';
const OPTIONAL = 'use optional() in place of required() for requests that need no login';
const ALWAYS_CHECKED = 'it is always checked';

/** What may be written at the top, and belongs to the issuer, the cookie, the store or a handler. */
export const TOP_ADVICE: Advice = {
  ...each(ISSUER_NAMES, atIssuer),
  ...each(COOKIE_NAMES, atCookie),
  ...each(ROUTER_NAMES, atRouter),
  ...all('prefix keyPrefix minReplicas', atStore),
  ...all(
    'redis redisClient redisUrl url host port',
    'the sessions are kept in the option store: store: redisStore(url)',
  ),
  ...all('scope scopeRequired requiredScopes', 'it is an option of required(): required({ scope })'),
  ...all('fresh', 'it is an option of required(): required({ fresh: true })'),
  ...all('parameter state tokenQueryParameterName', 'it is an option of handoff(): handoff({ state, parameter })'),
  ...all('authorize', 'it is an option of introspection(): introspection({ authorize })'),
  ...all('getToken jwtFromRequest tokenExtractor', TOKEN_FUNCTION),
  ...all('credentialsRequired authRequired', OPTIONAL),
  ...all(
    'requestProperty userProperty resultProperty property',
    'the user is always req.user: the option user says what that is',
  ),
  ...all('isRevoked isRevokedCallback', 'ended sessions are refused without it: revoke() and revokeAll() end them'),
  ...all('cookieName name key', atCookie('name')),
  ...all('httpOnly', 'the cookie is always HttpOnly'),
  ...all('issuerBaseURL issuerBaseUrl domainUrl', 'use issuer: oidc({ issuer, audience })'),
  ...all('iss', 'here it is called issuer: issuer: { issuer, … }'),
  ...all('jwks jwksUrl jwks_uri', atIssuer('jwksUri')),
  ...all('aud audiences', atIssuer('audience')),
  ...all('secretOrKey secretOrKeyProvider secretOrPublicKey', `${atIssuer('secret')}, or publicKey, or jwksUri`),
  ...all('alg algorithm tokenSigningAlg', atIssuer('algorithms')),
  ...all('leeway clockSkew', atIssuer('clockTolerance')),
  ...all('validators', atIssuer('claims')),
  ...all('cacheMaxAge', atIssuer('keysMaxAge')),
  ...all('dpop enableDPoP', atIssuer('senderConstrained')),
  ...all('ignoreExpiration', ALWAYS_CHECKED),
  ...all('resave saveUninitialized unset genid', 'leave it out: there is no session data to save'),
  ...all('rolling', called('idleTimeout')),
  ...all('disableTouch touchAfter', called('activityInterval')),
  ...all('cors allowedOrigins', called('origins')),
  ...all('onError onExpired handler unauthorized', called('onRefused')),
  ...all('loginRedirect redirectTo failureRedirect', called('loginUrl')),
  ...all('proxy', called('trustProxy')),
  ...all('logger log debug', 'listen to events: sessions.on("tokenRefused", …)'),
};

/** What may be written at an issuer. */
export const ISSUER_ADVICE: Advice = {
  ...each(TOP_NAMES, here),
  ...all('getToken jwtFromRequest', here('from')),
  ...all('credentialsRequired', OPTIONAL),
  ...all('requestProperty', here('user')),
  ...all('issuerBaseURL', called('issuer')),
  ...all('secretOrKey secretOrKeyProvider', 'here it is called secret, or publicKey, or jwksUri'),
  ...all('tokenSigningAlg', called('algorithms')),
  ...all('validators', called('claims')),
  ...all('cacheMaxAge', called('keysMaxAge')),
  ...all('dpop', called('senderConstrained')),
  ...all('ignoreExpiration', ALWAYS_CHECKED),
  ...all(
    'cache rateLimit jwksRequestsPerMinute cacheMaxEntries',
    'leave it out: the whole key set is cached, and fetches are limited anyway',
  ),
  ...all('clientId client_id', called('audience')),
};

/** What may be written at the cookie. */
export const COOKIE_ADVICE: Advice = {
  ...all('maxAge expires', 'leave it out: the cookie lives as long as its token'),
  ...all('httpOnly', 'leave it out: the cookie is always HttpOnly'),
  ...all('signed secret', 'leave it out: the token in it is signed'),
};

/** What may be written at `redisStore()`. */
export const REDIS_ADVICE: Advice = {
  ...all('client url redis host port', 'it is the first argument: redisStore(urlOrClient, { prefix })'),
  ...all('ttl disableTTL disableTouch', 'leave it out: each key lives as long as what it holds is needed'),
  ...all('serializer', 'leave it out: the store has a format of its own'),
};

/** What may be written at `required()`. */
export const REQUIRED_ADVICE: Advice = {
  ...all('credentialsRequired optional', OPTIONAL),
  ...all('requiredScopes permissions', called('scope')),
  ...all('audience claims', 'it is an option of the issuer: managedSessions({ issuer: { issuer, audience, claims } })'),
};
