/** Names that people know from other packages, or put in another place, and what to write instead. */

/** By the name in lower case. The text follows a colon. */
export type Advice = Readonly<Record<string, string>>;

/** By the name that an option has here: what it is called elsewhere. The first that there is counts. */
const ALIASES: Readonly<Record<string, string>> = {
  activityInterval: 'disableTouch touchAfter',
  acr: 'acr_values acrValues acrs',
  algorithms: 'alg algorithm tokenSigningAlg',
  audience: 'aud audiences clientId client_id',
  claims: 'validators',
  clockTolerance: 'leeway clockSkew',
  from: 'token',
  issuer: 'iss issuerBaseURL',
  jwksUri: 'jwks jwksUrl jwks_uri',
  keysMaxAge: 'cacheMaxAge',
  lifetime: 'expires expiresIn maxAge ttl',
  loginUrl: 'loginRedirect redirectTo failureRedirect',
  name: 'cookieName key',
  onRefused: 'onError onExpired handler unauthorized',
  origins: 'cors allowedOrigins',
  prefix: 'keyPrefix key',
  publicKey: 'key',
  scope: 'requiredScopes permissions',
  senderConstrained: 'dpop enableDPoP',
  storeTimeout: 'timeout',
  // After `storeTimeout`, which is what `timeout` means where there are both.
  idleTimeout: 'rolling timeout',
  subject: 'sub subjectClaim',
  trustProxy: 'proxy',
};

function aliasesOf(name: string): readonly string[] {
  return ALIASES[name]?.split(' ') ?? [];
}

/** What a name from elsewhere is called here, where there are these `names`. Undefined for any other name. */
export function aliasMeant(typed: string, names: readonly string[]): string | undefined {
  const lower = typed.toLowerCase();
  return Object.keys(ALIASES).find(
    (name) => names.includes(name) && aliasesOf(name).some((alias) => alias.toLowerCase() === lower),
  );
}

const atIssuer = (name: string): string => `it is an option of the issuer: issuer: { issuer, ${name} }`;
const atCookie = (name: string): string => `it is an option of the cookie: cookie: { ${name} }`;
const atStore = 'it is an option of the store: store: redisStore(url, { prefix, minReplicas })';
const atRouter = (name: string): string => `it is an option of router(): router({ ${name} })`;
const here = (name: string): string => `it is an option of managedSessions(): managedSessions({ ${name} })`;

function each(names: readonly string[], text: (name: string) => string): Advice {
  return Object.fromEntries(names.map((name) => [name.toLowerCase(), text(name)] as const));
}

/** Also for what these options are called elsewhere. */
function eachWithAliases(names: readonly string[], text: (name: string) => string): Advice {
  const withAliases = names.flatMap((name) => [name, ...aliasesOf(name)].map((alias) => [alias, name] as const));
  return Object.fromEntries(withAliases.map(([alias, name]) => [alias.toLowerCase(), text(name)] as const));
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
const COOKIE_NAMES = ['name', 'path', 'domain', 'sameSite', 'secure', 'partitioned'];
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
  ...eachWithAliases(ISSUER_NAMES, atIssuer),
  ...eachWithAliases(['prefix', 'minReplicas'], () => atStore),
  ...eachWithAliases(COOKIE_NAMES, atCookie),
  ...each(ROUTER_NAMES, atRouter),
  ...all(
    'redis redisClient redisUrl url host port',
    'the sessions are kept in the option store: store: redisStore(url)',
  ),
  ...all('scope scopeRequired requiredScopes', 'it is an option of required(): required({ scope })'),
  ...all('acr acr_values', 'it is an option of required(): required({ acr })'),
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
  ...all('httpOnly', 'the cookie is always HttpOnly'),
  ...all('issuerBaseURL issuerBaseUrl domainUrl', 'use issuer: oidc({ issuer, audience })'),
  ...all('iss', 'here it is called issuer: issuer: { issuer, … }'),
  ...all('secretOrKey secretOrKeyProvider secretOrPublicKey', `${atIssuer('secret')}, or publicKey, or jwksUri`),
  ...all('ignoreExpiration', ALWAYS_CHECKED),
  ...all('resave saveUninitialized unset genid', 'leave it out: there is no session data to save'),
  ...all('logger log debug', 'listen to events: sessions.on("tokenRefused", …)'),
};

/** What may be written at an issuer. */
export const ISSUER_ADVICE: Advice = {
  ...each(TOP_NAMES, here),
  ...all('getToken jwtFromRequest', here('from')),
  ...all('credentialsRequired', OPTIONAL),
  ...all('requestProperty', here('user')),
  ...all('secretOrKey secretOrKeyProvider', 'here it is called secret, or publicKey, or jwksUri'),
  ...all('ignoreExpiration', ALWAYS_CHECKED),
  ...all(
    'cache rateLimit jwksRequestsPerMinute cacheMaxEntries',
    'leave it out: the whole key set is cached, and fetches are limited anyway',
  ),
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
  ...all('audience claims', 'it is an option of the issuer: managedSessions({ issuer: { issuer, audience, claims } })'),
};
