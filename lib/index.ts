import './node-version.js';

export { managedSessions } from './managed-sessions.js';
export type { ManagedSessions } from './managed-sessions.js';
export type { StoreCall } from './diagnostics.js';
export type { Clock, ManagedSessionsOptions } from './options.js';

export { memoryStore } from './stores/memory.js';
export { redisStore } from './stores/redis/store.js';
export type { RedisClient, RedisStoreOptions } from './stores/redis/store.js';
export type {
  EndEverywhereRequest,
  EraseRequest,
  EndIndexedRequest,
  EndedByCutoff,
  ExpireTokensRequest,
  FeedListener,
  IndexEntry,
  ListCursor,
  ListRequest,
  Notice,
  RestoreRequest,
  RevocationFeed,
  RevokeAllRequest,
  RevokeOutcome,
  RevokeRequest,
  SessionPage,
  SessionStore,
  SightAnswer,
  SightRequest,
  StoreSettings,
  Tombstone,
} from './stores/store.js';

export { authRocket, authRocketV1, oidc } from './tokens/presets.js';
export type { AuthRocketOptions, AuthRocketV1Options, OidcOptions } from './tokens/presets.js';
export type { IssuerOptions } from './tokens/issuer.js';
export type { IssuerFunction } from './tokens/tenants.js';
export type { SessionNaming } from './tokens/session-id.js';
export type { PublicKey, Secret } from './tokens/static-keys.js';
export type { Algorithm } from './tokens/verification-key.js';

export { LoginError } from './core/errors.js';
export type { LoginErrorCode, LoginErrorDetails } from './core/errors.js';
export type { Claims, Organization, Profile } from './core/claims.js';
export type { RequiredClaim, Scalar, SenderConstrained } from './core/claim-checks.js';
export type { Began } from './core/claim-times.js';
export type { Diagnosis } from './core/diagnosis.js';
export type { Duration } from './core/duration.js';
export type { HandleSecret } from './core/handles.js';
export type { Health, HealthReport, PartHealth } from './core/health.js';
export type {
  EventUser,
  KeySkipped,
  SecurityEvent,
  SessionEnded,
  SessionEventListener,
  SessionEventName,
  SessionEvents,
  SessionMoved,
  SessionStarted,
  SessionUnnamed,
  StoreUnsafe,
  TokenRefused,
} from './core/events.js';
export type { SessionPolicy } from './core/policy.js';
export type { Cutoff, GlobalCutoff } from './core/cutoff.js';
export type { KnownTimes, KnownUse } from './core/record.js';
export type { Ending, SessionRecord, SessionUser, Sighting, TokenParties, TokenTimes } from './core/session.js';
export type { StaleTokens } from './core/stale.js';

export type {
  EndEverywhereOptions,
  ExpireTokensOptions,
  ListOptions,
  Locate,
  RevokeAllOptions,
  RevokeOptions,
  SessionList,
  SessionView,
} from './http/account.js';
export type { UserResult } from './http/user-result.js';
export type { BackchannelLogoutOptions } from './http/doors/backchannel-logout.js';
export type { SecurityEventsOptions } from './http/doors/security-events.js';
export type { HandoffOptions, HandoffState } from './http/handoff.js';
export type { ActiveToken, IntrospectionOptions } from './http/introspection.js';
export type { AuthenticateOptions, Login } from './http/authenticate.js';
export type { TrustFunction, TrustProxy } from './http/client-address.js';
export type { ClientOption, SightingHint } from './http/client.js';
export type { CookieOptions } from './http/cookie.js';
export type { Origins } from './http/forgery.js';
export type { RequiredOptions } from './http/gates.js';
export type { LogoutOptions, SiteData } from './http/logout.js';
export type { LoginUrl } from './http/login-url.js';
// Whole, because only what is not renamed can be merged with an application's declaration.
export * from './http/register.js';
export type { LoginSession } from './http/app-request.js';
export type { RequestJudged } from './http/request-judged.js';
export type { Handler, Next } from './http/respond.js';
export { PAGE_STYLE_SOURCE } from './http/page.js';
export { PAGE_SCRIPT_SOURCE } from './http/page-live.js';
export type { Done, Messages, MessagesOverride, Problem } from './http/messages.js';
export type { RouterOptions } from './http/router.js';
export type { Layout, PageOptions } from './http/serve-page.js';
export type { TimeZone } from './http/time-zone.js';
export type {
  CookieSource,
  HeaderSource,
  SingleTokenSource,
  TokenFunction,
  TokenSourceOption,
} from './http/token-source-option.js';
export type { ClientDescription, ClientKind } from './http/user-agent.js';
export type { SessionReference } from './http/named-session.js';
export type { UserReference } from './http/user-reference.js';
