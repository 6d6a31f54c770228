/** What each test of the contract gets: a new store, its own user, and every call with the usual arguments filled in. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import type { Cutoff, GlobalCutoff } from '../../core/cutoff.js';
import type { SessionPolicy } from '../../core/policy.js';
import type { KnownUse } from '../../core/record.js';
import { sessionUser, type SessionRecord, type SessionUser, type TokenTimes } from '../../core/session.js';
import type {
  EndEverywhereRequest,
  EndIndexedRequest,
  ExpireTokensRequest,
  IndexEntry,
  ListRequest,
  Notice,
  RestoreRequest,
  RevokeAllRequest,
  RevokeRequest,
  SessionPage,
  SessionStore,
  SightAnswer,
  Tombstone,
} from '../../stores/store.js';
import { DAY, ELSEWHERE, handle, HOUR, MINUTE, POLICY, SECOND } from './values.js';

/** What is to be tested: a store that nobody has configured, and how to clean up after it. */
export interface StoreUnderTest {
  readonly store: SessionStore;
  close?(): Promise<void>;
}

/** Declares one test. Its body gets a fixture that no other test has used. */
export type DeclareTest = (name: string, body: (fixture: Fixture) => Promise<void>) => void;

export type Fixture = Awaited<ReturnType<typeof openFixture>>;

/** How a test's sighting differs from the usual one: now, with a token of an hour, from one address and user agent. */
export interface SightOptions {
  readonly at?: number;
  readonly ip?: string | null;
  readonly userAgent?: string | null;
  readonly byProgram?: boolean;
  readonly app?: string | null;
  readonly actor?: string | null;
  readonly token?: Partial<TokenTimes>;
  readonly policy?: Partial<SessionPolicy>;
  readonly user?: SessionUser;
  readonly track?: boolean;
  readonly usedAt?: number;
  readonly clientKey?: string | null;
  readonly knownUse?: KnownUse;
  readonly index?: IndexEntry;
}

/** When a test looks, and by which policy. */
interface Judging {
  readonly at?: number;
  readonly policy?: Partial<SessionPolicy>;
}

type Request<T extends { readonly policy: SessionPolicy }> = Partial<Omit<T, 'policy'>> & Judging;

let users = 0;
const origins: string[] = [];

/** A notice may be told more than once, and a cutoff also without what it ended, before a later one is told. */
function isSame(notice: Notice, earlier: Notice): boolean {
  const isAgain = notice.kind === 'cutoff' && notice.ended.length === 0 && earlier.kind === 'cutoff';
  return isAgain ? isDeepStrictEqual(notice.cutoff, earlier.cutoff) : isDeepStrictEqual(notice, earlier);
}

/** Opens a store with a feed, and a user whom no other test has. */
export async function openFixture(make: () => Promise<StoreUnderTest>) {
  const underTest = await make();
  const { store } = underTest;
  store.configure({ storeTimeout: 5 * SECOND, revocationBound: 20 * SECOND });
  const earlierOrigins = [...origins];
  origins.push(store.origin);

  users += 1;
  const now = Date.now();
  const user = sessionUser('https://id.example.com/', `${String(now)}-${String(users)}`);
  const notices: Notice[] = [];
  const globalCutoffs: GlobalCutoff[] = [];
  const feed = store.feed({
    notice(notice) {
      if (notice.user.key === user.key && !notices.some((other) => isSame(notice, other))) notices.push(notice);
    },
    globalCutoff(cutoff) {
      if (cutoff.origin === store.origin) globalCutoffs.push(cutoff);
    },
    gap: () => undefined,
  });

  function policyOf({ policy }: Judging): SessionPolicy {
    return { ...POLICY, ...policy };
  }

  function token(times: Partial<TokenTimes> = {}): TokenTimes {
    return { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null, ...times };
  }

  function sight(of: string, options: SightOptions = {}): Promise<SightAnswer> {
    const { at = now, ip = '203.0.113.7', userAgent = 'Mozilla/5.0', byProgram = false, ...more } = options;
    const { app = null, actor = null, ...others } = more;
    const { token: times, policy, user: seenUser = user, ...flags } = others;
    return store.sight(seenUser, {
      handle: of,
      sighting: { at, ip, userAgent, byProgram, app, actor },
      token: token(times),
      policy: { ...POLICY, ...policy },
      ...flags,
    });
  }

  async function live(of: string, options?: SightOptions): Promise<Extract<SightAnswer, { state: 'live' }>> {
    const answer = await sight(of, options);
    assert.equal(answer.state, 'live');
    return answer;
  }

  async function ended(of: string, options?: SightOptions): Promise<Extract<SightAnswer, { state: 'ended' }>> {
    const answer = await sight(of, options);
    assert.equal(answer.state, 'ended');
    return answer;
  }

  function revoke(of: string, more: Request<RevokeRequest> = {}): ReturnType<SessionStore['revoke']> {
    const usual = { handle: of, reason: 'signed_out', by: null, at: now };
    return store.revoke(user, { ...usual, ...more, policy: policyOf(more) });
  }

  function revokeAll(more: Request<RevokeAllRequest> = {}): ReturnType<SessionStore['revokeAll']> {
    const usual = { except: null, reason: 'everywhere', by: 'owner', at: now };
    return store.revokeAll(user, { ...usual, ...more, policy: policyOf(more) });
  }

  function erase(more: Judging = {}): ReturnType<SessionStore['erase']> {
    return store.erase(user, { at: more.at ?? now, policy: policyOf(more) });
  }

  function expireTokens(more: Request<ExpireTokensRequest> = {}): Promise<void> {
    const usual = { reason: 'role_removed', by: 'admin', at: now };
    return store.expireTokens(user, { ...usual, ...more, policy: policyOf(more) });
  }

  function get(of: string, more: Judging = {}): Promise<SessionRecord | null> {
    return store.get(user, of, more.at ?? now, policyOf(more));
  }

  function label(of: string, name: string | null, more: Judging = {}): Promise<SessionRecord | null> {
    return store.label(user, of, name, more.at ?? now, policyOf(more));
  }

  function page(more: Request<ListRequest> = {}): Promise<SessionPage> {
    return store.list(user, { limit: 200, cursor: null, at: now, ...more, policy: policyOf(more) });
  }

  /** The handles of all pages. */
  async function listed(more: Request<ListRequest> = {}): Promise<string[]> {
    const handles: string[] = [];
    let { sessions, next } = await page(more);
    for (;;) {
      assert.ok(sessions.length <= (more.limit ?? 200));
      handles.push(...sessions.map((session) => session.handle));
      if (next === null) return handles;
      ({ sessions, next } = await page({ ...more, cursor: next }));
    }
  }

  function restore(
    known: Partial<Pick<RestoreRequest, 'tombstones' | 'cutoff' | 'staleTokens' | 'isUnseen'>> & Judging,
  ): ReturnType<SessionStore['restore']> {
    return store.restore(user, { tombstones: [], cutoff: null, at: now, ...known, policy: policyOf(known) });
  }

  /** A tombstone that another process's store object wrote. */
  function tombstone(number: number, until = now + 3 * DAY): Tombstone {
    const [reason, by, at] = ['stolen', 'admin', now - MINUTE];
    const ending = { cause: 'revoked', reason, by, at, expiresAt: now + HOUR, origin: ELSEWHERE } as const;
    return { handle: handle(number), ending, until };
  }

  /** The id of a session in the index, which no other test has. */
  function indexId(): string {
    return randomBytes(17).toString('base64url').slice(0, 22);
  }

  function endIndexed(id: string, more: Request<EndIndexedRequest> = {}): ReturnType<SessionStore['endIndexed']> {
    return store.endIndexed(id, { reason: 'told', by: 'issuer', at: now, ...more, policy: policyOf(more) });
  }

  /** The id of a message that no other test has. */
  function messageId(): string {
    return randomBytes(32).toString('base64url');
  }

  function cutoffNotices(): Extract<Notice, { kind: 'cutoff' }>[] {
    return notices.filter((notice) => notice.kind === 'cutoff');
  }

  function lastCutoff(): Cutoff {
    const last = cutoffNotices().at(-1);
    assert.ok(last !== undefined, 'the feed told of a cutoff');
    return last.cutoff;
  }

  /** Sets a global cutoff, and returns what the listener was told by the time of the answer. */
  async function endEverywhere(more: Partial<EndEverywhereRequest> = {}): Promise<GlobalCutoff> {
    const before = globalCutoffs.length;
    await store.endEverywhere({ reason: 'incident', by: 'operator', at: now, ...more });
    const [told, ...others] = globalCutoffs.slice(before);
    assert.ok(told !== undefined && others.length === 0, 'the listener was told once');
    return told;
  }

  async function close(): Promise<void> {
    await feed.close();
    await store.close();
    await underTest.close?.();
  }

  return {
    store,
    /** The origins of the store objects of earlier tests. */
    earlierOrigins,
    feed,
    /** Belongs to this test alone. */
    user,
    now,
    /** What the feed told of this user, each notice once. */
    notices,
    cutoffNotices,
    lastCutoff,
    /** The global cutoffs of this store object that its feed told. */
    globalCutoffs,
    token,
    sight,
    live,
    ended,
    revoke,
    revokeAll,
    erase,
    expireTokens,
    get,
    label,
    page,
    listed,
    restore,
    tombstone,
    indexId,
    endIndexed,
    messageId,
    endEverywhere,
    close,
  };
}
