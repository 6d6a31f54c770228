/** Prepares every part once, and connects them. */

import type { Emit } from './core/events.js';
import { measured } from './diagnostics.js';
import { createAccount } from './http/account.js';
import { Authenticator } from './http/authenticate.js';
import { withRawUserAgents } from './http/client-hints.js';
import { createLoginCookie } from './http/cookie.js';
import { createDoorParts } from './http/doors/door-parts.js';
import { createDoorEndings } from './http/doors/endings.js';
import { EventStreams } from './http/event-stream.js';
import { createForgeryCheck } from './http/forgery.js';
import { createFail } from './http/gates.js';
import { createHostOf, createSecureCheck } from './http/request.js';
import { createRefuse } from './http/respond.js';
import { createTokenSource, type TokenSource } from './http/token-source.js';
import { clientKeyOf } from './http/user-agent.js';
import { loginUser, type UserResult } from './http/user-result.js';
import { Ledger, type LedgerOptions } from './ledger/ledger.js';
import type { ManagedSessionsOptions } from './options.js';
import { policies } from './policies.js';
import type { Settings } from './settings.js';
import { memoryStore } from './stores/memory.js';
import { issuerRules } from './tokens/issuer.js';
import type { KeyEvent } from './tokens/key-source.js';
import { reportUnnamedOnce, warnUnnamed } from './tokens/session-id.js';
import { Tenants } from './tokens/tenants.js';
import { createVerifier, type IssuerRules, type VerifiedToken } from './tokens/verify.js';

export type Parts<User> = ReturnType<typeof connect<User>>;

export function connect<User>(options: ManagedSessionsOptions<User>, settings: Settings, emit: Emit) {
  const { clock, loginUrlFor, clientOf, trust, lifetime, handles } = settings;
  const issuers = issuersOf(settings, emit);
  const { policyOf, learn, clockTolerance } = policies(settings, issuers);
  const tenants = tenantsOf(settings, emit, learn);
  const verifier = createVerifier({
    issuers,
    ...(tenants !== undefined && { tenants, isExpRequired: options.lifetime === undefined }),
    clock,
    lifetime,
    maxTokenLength: settings.maxTokenLength,
    sessionIndex: settings.sessionIndex,
    onUnnamed: reportUnnamedOnce((event) => {
      warnUnnamed(event);
      emit('sessionUnnamed', event);
    }),
  });
  const tokens = sourceAndCookie(options, settings);
  const { source } = tokens;
  const ledger = ledgerOf(options, settings, { policyOf, clockTolerance }, emit);
  const refuseForgery = createForgeryCheck(createHostOf(trust), settings.origins);
  const authenticator = new Authenticator<User>({
    handles,
    verifier,
    ledger,
    source,
    refuseForgery,
    user: userOf(options),
    clock,
    clientOf,
    emit,
  });
  const doors = createDoorParts({
    issuers,
    tenants,
    clock,
    maxTokenLength: settings.maxTokenLength,
    onKeyEvent: (issuer, event) => report(emit, issuer, event),
  });
  return {
    ...tokens,
    ...doors,
    issuers,
    tenants,
    verifier,
    policyOf,
    ledger,
    clock,
    emit,
    handles,
    clientOf,
    refuseForgery,
    authenticator,
    fail: createFail(authenticator, createRefuse({ loginUrlFor, onRefused: options.onRefused })),
    account: createAccount(ledger, handles, clock),
    streams: new EventStreams(),
    endings: createDoorEndings(ledger, settings.sessionIndex),
    loginUrlFor,
    sessionIndex: settings.sessionIndex,
    whenStoreDown: settings.whenStoreDown,
    maxTokenLength: settings.maxTokenLength,
  };
}

/** Where tokens are read, and the cookie in which they are written. */
function sourceAndCookie<User>(
  options: ManagedSessionsOptions<User>,
  { cookie: cookieOptions, clock, trust }: Settings,
) {
  // Not ??, because null is invalid.
  const { from = { cookie: cookieOptions.name ?? 'login_token' } } = options;
  const source = createTokenSource(from, cookieOptions);
  const name = cookieNameOf(source, cookieOptions.name);
  const isSecure = createSecureCheck(trust);
  const cookieParts = { clock, isSecure, others: source.cookies };
  return { source, isSecure, cookie: name === null ? null : createLoginCookie(name, cookieOptions, cookieParts) };
}

function ledgerOf<User>(
  options: ManagedSessionsOptions<User>,
  settings: Settings,
  judging: Pick<LedgerOptions, 'policyOf' | 'clockTolerance'>,
  emit: Emit,
): Ledger {
  const { clock, storeTimeout, revocationBound } = settings;
  const store = measured(options.store ?? memoryStore());
  store.configure({ storeTimeout, revocationBound });
  return new Ledger({
    ...settings,
    ...judging,
    ...(clock.elapsed !== undefined && { monotonic: clock.elapsed.bind(clock) }),
    store,
    track: ({ claims }) => settings.track(claims),
    clientKeyOf,
    emit: withRawUserAgents(emit),
  });
}

function issuersOf({ issuers, clock }: Settings, emit: Emit): readonly IssuerRules[] {
  return issuers.map((options, index) =>
    issuerRules(options, issuers.length === 1 ? 'issuer' : `issuer[${String(index)}]`, {
      clock,
      onKeyEvent: (event) => report(emit, options.issuer, event),
    }),
  );
}

function tenantsOf(
  { issuerFunction: find, clock }: Settings,
  emit: Emit,
  onFound: (rules: IssuerRules) => void,
): Tenants | undefined {
  if (find === undefined) return undefined;
  return new Tenants({ find, clock, onFound, onKeyEvent: (issuer, event) => report(emit, issuer, event) });
}

function report(emit: Emit, issuer: string, event: KeyEvent): void {
  if (event.kind === 'down') emit('keysDown', { issuer, error: event.error });
  else if (event.kind === 'up') emit('keysUp', { issuer });
  else emit('keySkipped', { issuer, index: event.index, kid: event.kid, why: event.why });
}

/** The cookie that is written: by default the first that is read. Null if none is read, and no name is given. */
function cookieNameOf({ cookies, hasFunction }: TokenSource, written: string | undefined): string | null {
  if (written === undefined || cookies.includes(written)) return written ?? cookies[0] ?? null;
  if (cookies.length === 0 && hasFunction) return written;
  const [first] = cookies;
  throw new TypeError(
    first === undefined
      ? `cookie.name is '${written}', but from reads no cookie`
      : `cookie.name is '${written}', but from reads the cookie '${first}': give the same name, or only one`,
  );
}

function userOf<User>(options: ManagedSessionsOptions<User>): (token: VerifiedToken) => UserResult<User> {
  const { user } = options;
  // Without the option, `User` is its default.
  return user === undefined ? (loginUser as (token: VerifiedToken) => User) : ({ claims }) => user(claims);
}
