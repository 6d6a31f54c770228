export { managedSessions } from './managed-sessions.js';
export type { Health, ManagedSessions, UserReference } from './managed-sessions.js';
export type { Clock, ManagedSessionsOptions } from './options.js';

export { memoryStore } from './stores/memory.js';
export { redisStore } from './stores/redis.js';
export type { RedisClient, RedisStoreOptions } from './stores/redis.js';
export type {
  FeedListener,
  ListCursor,
  ListRequest,
  Notice,
  RevocationFeed,
  RevokeAllRequest,
  RevokeRequest,
  SessionPage,
  SessionStore,
  SightAnswer,
  SightRequest,
  StoreHealth,
  StoreSettings,
  Tombstone,
} from './stores/store.js';

export { authRocket, authRocketV1, oidc } from './tokens/presets.js';
export type { IssuerOptions } from './tokens/presets.js';
export type { Algorithm } from './tokens/keys.js';

export { LoginError } from './core/errors.js';
export type { LoginErrorCode } from './core/errors.js';
export type { Claims } from './core/claims.js';
export type { Duration } from './core/duration.js';
export type { SessionEventListener, SessionEventName, SessionEvents } from './core/events.js';
export type { Cutoff, SessionPolicy } from './core/policy.js';
export type { Ending, SessionRecord, SessionUser, Sighting, TokenTimes } from './core/session.js';

export type { ListOptions, RevokeAllOptions, RevokeOptions, SessionList, SessionView } from './http/account.js';
export type { Login, RequiredOptions } from './http/middleware.js';
export type { LoginSession, LoginUser } from './http/request.js';
export type { CookieAttributes, Handler } from './http/respond.js';
export { PAGE_STYLE_SOURCE } from './http/page.js';
export type { RouterOptions } from './http/router.js';
export type { ClientDescription } from './http/user-agent.js';
