/** Who sent a request: from the token to the live session, and what of it is put on the request. */

import type { IncomingMessage } from 'node:http';
import { anything, checkOptions } from '../core/check.js';
import { isLoginError, LoginError, type LoginErrorCode } from '../core/errors.js';
import { tokenRefused, type Emit } from '../core/events.js';
import type { Handles } from '../core/handles.js';
import type { Sighting } from '../core/session.js';
import type { Lease, Ledger, Seen } from '../ledger/ledger.js';
import type { KeySource } from '../tokens/key-source.js';
import type { VerificationKey } from '../tokens/verification-key.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { ownProperty, put, type AppRequest, type LoginSession } from './app-request.js';
import type { ClientOf } from './client.js';
import { CurrentSession, type Issuing } from './current-session.js';
import { HeaderMemory } from './header-memory.js';
import { checkOrigins, type ForgeryCheck, type Origins } from './forgery.js';
import { requireHeaders, RequestSighting } from './request.js';
import { resultInTime } from './in-time.js';
import { chooseSession } from './one-session.js';
import { isPending, type Pending } from './pending.js';
import { published, requestsJudged } from './request-judged.js';
import type { SentToken, TokenSource } from './token-source.js';
import { existing, loginUser, type UserResult } from './user-result.js';

/** Each part is prepared once. */
export interface AuthenticatorParts<User> {
  readonly handles: Pick<Handles, 'shown'>;
  readonly verifier: Verifier;
  readonly ledger: Pick<Ledger, 'judge' | 'peek' | 'lease' | 'isKnownStale'>;
  readonly source: Pick<TokenSource, 'read' | 'deciding'>;
  readonly refuseForgery: ForgeryCheck;
  /** Returns `req.user`. Called once per request; whatever it throws, or rejects with, goes to `next`. */
  readonly user: (token: VerifiedToken) => UserResult<User>;
  readonly clock: { now(): number };
  readonly clientOf: ClientOf;
  readonly emit: Emit;
}

export interface AuthenticateOptions {
  /**
   * Origins such as `https://www.example.com` whose pages may send this request with the cookie, or `'any'`. Default: the
   * option `origins` of `managedSessions()`.
   */
  readonly origins?: Origins;
}

export interface Login<User> {
  readonly user: User;
  readonly session: LoginSession;
}

/** How the session of a request is judged. */
export interface Judging {
  /** Asks the store, whatever this process knows. */
  readonly fresh: boolean;
  /** Whether the request counts as use of the session. */
  readonly isUse: boolean;
}

/** As most requests are judged: from memory, and as a use. */
export const USUAL: Judging = { fresh: false, isUse: true };
export const FRESH: Judging = { fresh: true, isUse: true };

/** A single error for all requests: to capture a stack would be most of the cost of an anonymous request. */
const NO_TOKEN = new LoginError('no_token', 'A login is required, and no token was sent');

/** What a header turned out to be a moment ago. */
interface KnownHeader {
  readonly header: string;
  readonly sent: SentToken;
  readonly token: VerifiedToken;
  /** The key that verified the token, and where it must still be in use. */
  readonly key: VerificationKey;
  readonly keys: KeySource;
  readonly lease: Lease;
}

type Identified = Pending<CurrentSession>;
type Judge = (token: VerifiedToken, sighting: RequestSighting, fresh: boolean) => Identified;

export class Authenticator<User> implements Issuing {
  readonly handles: Issuing['handles'];
  readonly #parts: AuthenticatorParts<User>;
  /** What {@link excuse} found: a second gate must not wait for an unreachable store again. */
  readonly #refusals = new WeakMap<AppRequest, { readonly sent: SentToken | undefined; readonly error: LoginError }>();
  readonly #judge: Judge;
  readonly #known: HeaderMemory<KnownHeader>;
  /** The application does not make its own user. */
  readonly #isDefaultUser: boolean;

  constructor(parts: AuthenticatorParts<User>) {
    this.handles = parts.handles;
    this.#parts = parts;
    this.#known = new HeaderMemory(parts.source.deciding);
    this.#isDefaultUser = parts.user === (loginUser as typeof parts.user);
    this.#judge = (token, sighting, fresh) => {
      const live = parts.ledger.judge(token, sighting, fresh);
      const { method } = sighting;
      if (!isPending(live)) return new CurrentSession(live, token, this, fresh, method);
      sighting.settle();
      return live.then((session) => new CurrentSession(session, token, this, fresh, method));
    };
  }

  /**
   * Puts the user and the live session on a request, if `check` does not throw for its token. Returns a promise only if
   * something has to be waited for. Throws, or rejects with, `LoginError`, and what `check` and the option `user` throw.
   */
  enter(req: AppRequest, how: Judging, check?: (token: VerifiedToken) => void): Promise<void> | undefined {
    const known = how.fresh || requestsJudged.hasSubscribers ? undefined : this.#recall(req, how);
    if (known !== undefined) return this.#enterKnown(req, known, how, check);
    const session = this.identify(req, how);
    return isPending(session)
      ? session.then((found) => this.#enterAs(req, found, how, check))
      : this.#enterAs(req, session, how, check);
  }

  #enterAs(
    req: AppRequest,
    session: CurrentSession,
    how: Judging,
    check?: (token: VerifiedToken) => void,
  ): Promise<void> | undefined {
    check?.(CurrentSession.tokenOf(session));
    return this.admit(req, session, how);
  }

  /** What is known of the header of a request. Undefined if all of the request has to be looked at. */
  #recall(req: AppRequest, { isUse }: Judging): KnownHeader | undefined {
    if (Object.hasOwn(req, 'loginSession') || Object.hasOwn(req, 'loginError')) return undefined;
    const known = this.#known.find(req);
    if (known === undefined) return undefined;
    const { refuseForgery, clock } = this.#parts;
    refuseForgery(req, known.sent);
    const at = clock.now();
    if (!known.keys.holds(known.key, at)) return undefined;
    const stands = isUse ? known.lease.use(at) : known.lease.stands(at);
    return stands ? known : undefined;
  }

  #enterKnown(
    req: AppRequest,
    known: KnownHeader,
    how: Judging,
    check?: (token: VerifiedToken) => void,
  ): Promise<void> | undefined {
    const { token } = known;
    check?.(token);
    const session = new CurrentSession(known.lease.session, token, this, false, req.method);
    if (!this.#isDefaultUser) return this.admit(req, session, how);
    req.user = loginUser(token);
    req.loginSession = session;
    return undefined;
  }

  /** Once a minute for each token: what is known holds no longer. */
  #learn(req: AppRequest, sent: SentToken, token: VerifiedToken, at: number): void {
    const { verifier, ledger } = this.#parts;
    const { header } = sent;
    if (header === null) return;
    const cached = verifier.cached(sent.text);
    if (cached?.verified !== token) return;
    const lease = ledger.lease(token, at, cached.until);
    if (lease === null) return;
    const { key, keys } = cached;
    this.#known.add(req, { header, sent, token, key, keys, lease });
  }

  /**
   * The live session of a request. Creates no promise if neither verifier nor ledger does. However many gates a request
   * passes, its token is verified once. Throws, or rejects with, `LoginError`.
   */
  identify(req: AppRequest, how: Judging, origins?: Origins): Identified {
    const { source, clock, clientOf } = this.#parts;
    const known = CurrentSession.of(ownProperty(req, 'loginSession'), this);
    const { fresh, isUse } = how;
    const sighting = new RequestSighting(req, clock.now(), clientOf, isUse);
    if (known !== undefined && !CurrentSession.isForOther(known, req.method))
      return this.#again(known, sighting, fresh);
    const sent = source.read(req);
    if (ownProperty(req, 'loginError') !== undefined) {
      const refused = this.#refusals.get(req);
      if (refused !== undefined && isSameSent(refused.sent, sent)) throw refused.error;
    }
    if (!requestsJudged.hasSubscribers) return this.#verify(req, sent, sighting, fresh, origins, this.#judge);
    return published(this.#judge, (judge) => this.#verify(req, sent, sighting, fresh, origins, judge));
  }

  /** The session may have ended since the last gate: a body can take minutes to arrive. */
  #again(known: CurrentSession, sighting: RequestSighting, fresh: boolean): Identified {
    const isAsked = fresh && !CurrentSession.isFresh(known);
    const judged = this.#judge(CurrentSession.tokenOf(known), sighting, isAsked);
    if (isAsked) return judged;
    return isPending(judged) ? judged.then(() => known) : known;
  }

  #verify(
    req: AppRequest,
    sent: SentToken | undefined,
    sighting: RequestSighting,
    fresh: boolean,
    origins: Origins | undefined,
    judge: Judge,
  ): Identified {
    if (sent === undefined) throw NO_TOKEN;
    this.#parts.refuseForgery(req, sent, origins);
    const verified =
      sent.others.length === 0
        ? this.#parts.verifier.verify(sent.text)
        : chooseSession([sent.text, ...sent.others], sighting.at, this.#parts);
    if (!isPending(verified)) {
      const session = judge(verified, sighting, fresh);
      // A lease begins with a use.
      if (!isPending(session) && sighting.isUse && origins === undefined) this.#learn(req, sent, verified, sighting.at);
      return session;
    }
    sighting.settle();
    return verified.then((checked) => judge(checked, sighting, fresh));
  }

  /**
   * Puts user and session on the request. A user that the application has changed since an earlier gate is kept. Returns a
   * promise only if the option `user` does. Throws, or rejects with, `LoginError` `user_refused` if there is no such user.
   */
  admit(req: AppRequest, session: CurrentSession, { isUse }: Judging): Promise<void> | undefined {
    const before = ownProperty(req, 'loginSession');
    if (before === session) return undefined;
    const token = CurrentSession.tokenOf(session);
    const known = CurrentSession.of(before, this);
    if (known !== undefined && CurrentSession.tokenOf(known).handle === token.handle) {
      putSession(req, session);
      return undefined;
    }
    const { clock, clientOf } = this.#parts;
    const result = this.#parts.user(token);
    const pending = this.#pendingUser(result, token, () => new RequestSighting(req, clock.now(), clientOf, isUse));
    if (pending !== undefined) {
      return pending.then((user) => {
        put(req, 'user', user);
        putSession(req, session);
      });
    }
    put(req, 'user', existing(result));
    putSession(req, session);
    return undefined;
  }

  /**
   * The user that the application promises. Undefined if it is no promise. By then the session may have ended: a query can
   * take seconds. Rejects with `LoginError`.
   */
  #pendingUser(result: UserResult<User>, token: VerifiedToken, sightingNow: () => Seen): Promise<User> | undefined {
    return resultInTime(result, 'user')?.then(async (user) => {
      const found = existing(user);
      await this.#parts.ledger.judge(token, sightingNow(), false);
      return found;
    });
  }

  /** The user of a token, as {@link admit} would put it on a request. Rejects with `LoginError` `user_refused`. */
  async userOf(token: VerifiedToken): Promise<User> {
    const result = this.#parts.user(token);
    // Without a second promise: the user itself may be anything.
    return existing(await (resultInTime(result, 'user') ?? result));
  }

  /**
   * Reports a refusal. After a 401, it takes back what an earlier gate put on the request, unless the session is good: where
   * the user has to sign in again, `loginUrl` may want to know who that is.
   */
  dismiss(req: AppRequest, error: LoginError): void {
    if (error.status === 401 && error.code !== 'insufficient_user_authentication') this.#takeBack(req);
    this.#report(error);
  }

  /** Lets the request pass without a user, and says why in `req.loginError`. */
  excuse(req: AppRequest, error: LoginError): void {
    this.#takeBack(req);
    this.#report(error);
    // Another gate may allow other origins.
    if (error !== NO_TOKEN && error.code !== 'cross_site') this.#remember(req, error);
    req.loginError = error;
  }

  /** The same check outside of a request. Rejects with `LoginError`. */
  async verify(token: unknown, client: Omit<Sighting, 'at'> = NOTHING): Promise<Login<User>> {
    const { verifier, ledger, clock } = this.#parts;
    return this.#reporting(async () => {
      if (token === undefined || token === null || token === '') throw new LoginError('no_token', 'There is no token');
      if (typeof token !== 'string') throw new LoginError('token_malformed', 'The token is not a string');
      const verified = await verifier.verify(token);
      const live = await ledger.judge(verified, { at: clock.now(), ...client }, false);
      const session = new CurrentSession(live, verified, this, false);
      return this.#loginOf(session, () => ({ at: clock.now(), ...client }));
    });
  }

  /** The same check for any request. Rejects with `LoginError`, and with `TypeError` if an option is invalid. */
  async authenticate(req: IncomingMessage, options: AuthenticateOptions = {}): Promise<Login<User>> {
    requireHeaders(req);
    const { origins } = checkOptions<AuthenticateOptions>(options, 'authenticate()', { origins: anything });
    const own = origins === undefined ? undefined : checkOrigins(origins, 'authenticate(): origins');
    const { clock, clientOf } = this.#parts;
    return this.#reporting(async () =>
      this.#loginOf(await this.identify(req, USUAL, own), () => new RequestSighting(req, clock.now(), clientOf, true)),
    );
  }

  async #loginOf(session: CurrentSession, sightingNow: () => Seen): Promise<Login<User>> {
    const token = CurrentSession.tokenOf(session);
    const result = this.#parts.user(token);
    const user = await (this.#pendingUser(result, token, sightingNow) ?? result);
    // A user that was promised exists.
    return { user: existing(user), session };
  }

  #takeBack(req: AppRequest): void {
    if (CurrentSession.of(req.loginSession, this) === undefined) return;
    req.user = undefined;
    req.loginSession = undefined;
  }

  #report(error: LoginError): void {
    if (error.status < 500 && !UNREPORTED.has(error.code)) {
      this.#parts.emit('tokenRefused', tokenRefused(error));
    }
  }

  async #reporting<Outcome>(work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      if (isLoginError(error)) this.#report(error);
      throw error;
    }
  }

  #remember(req: AppRequest, error: LoginError): void {
    try {
      this.#refusals.set(req, { sent: this.#parts.source.read(req), error });
    } catch {
      // A token that cannot be read is refused again, at no cost.
    }
  }
}

function isSameSent(one: SentToken | undefined, other: SentToken | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.text !== other.text || one.from !== other.from || one.others.length !== other.others.length) return false;
  return one.others.every((text, index) => text === other.others[index]);
}

function putSession(req: AppRequest, session: CurrentSession): void {
  put(req, 'loginSession', session);
  if (ownProperty(req, 'loginError') !== undefined) req.loginError = undefined;
}

/** Refusals that say nothing about a token. */
const UNREPORTED: ReadonlySet<LoginErrorCode> = new Set(['no_token', 'session_not_found', 'request_invalid']);

const NOTHING = { ip: null, userAgent: null } as const;
