/** The contract that every session store keeps, as tests: for `describe` and `it` of Jest, Vitest or Mocha. */

import assert from 'node:assert/strict';

import type { Cutoff, GlobalCutoff, SessionPolicy } from '../core/policy.js';
import { sessionUser, type SessionUser, type TokenTimes } from '../core/session.js';
import type {
  Notice,
  RevocationFeed,
  RevokeAllRequest,
  SessionStore,
  SightAnswer,
  Tombstone,
} from '../stores/store.js';

declare const describe: (name: string, body: () => void) => void;
declare const it: (name: string, body: () => Promise<void>) => void;
declare const beforeEach: (body: () => Promise<void>) => void;
declare const afterEach: (body: () => Promise<void>) => void;

/** What is to be tested: a store that nobody has configured, and what cleans up behind it. */
export interface StoreUnderTest {
  readonly store: SessionStore;
  close?(): Promise<void>;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5 * SECOND,
  tombstoneFor: DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

/** Texts that clients send. */
const HOSTILE_TEXTS: readonly (readonly [name: string, text: string])[] = [
  ['line feeds', 'a\nb\r\nc'],
  ['NUL', 'a\u0000b'],
  ['other control characters', '\u001b[31m\u0085\u2028'],
  ['a lone surrogate', 'a\ud800b'],
  ['half a pair at the limit', `${'x'.repeat(511)}😀`],
  ['a megabyte', 'é'.repeat(1 << 20)],
  ['quotes and markup', `"'\\<script>&\${x}%s{ms}`],
  ['right-to-left and combining', '\u202eabc\u0301'],
  ['what another part looks like', 'l1\n2\n3'],
];

let users = 0;

/** A name of 22 characters that sorts by its number. */
const handle = (number: number): string => String(number).padStart(22, 'h');

/**
 * Declares the contract's tests for one store. `make` is called before each; every test uses users of its own, so that
 * the stores may share what is behind them: only the last group, which ends the sessions of globalCutoff, leaves its mark there.
 */
export function describeSessionStore(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the contract of a session store`, () => {
    let underTest: StoreUnderTest;
    let store: SessionStore;
    let feed: RevocationFeed;
    let notices: { notice: Notice; own: boolean }[];
    let generalCutoffs: { cutoff: GlobalCutoff; own: boolean }[];
    let user: SessionUser;
    let now: number;

    beforeEach(async () => {
      underTest = await make();
      ({ store } = underTest);
      store.configure({ storeTimeout: 5 * SECOND, revocationBound: 20 * SECOND });
      notices = [];
      generalCutoffs = [];
      feed = store.feed({
        notice(notice, own) {
          if (own && notice.user.key === user.key) notices.push({ notice, own });
        },
        globalCutoff(cutoff, own) {
          generalCutoffs.push({ cutoff, own });
        },
        gap: () => undefined,
      });
      users += 1;
      now = Date.now();
      user = sessionUser('https://id.example.com/', `${String(now)}-${String(users)}`);
    });

    afterEach(async () => {
      await feed.close();
      await store.close();
      await underTest.close?.();
    });

    const token = (times: Partial<TokenTimes> = {}): TokenTimes => ({
      issuedAt: now,
      expiresAt: now + HOUR,
      lifetime: null,
      ...times,
    });

    interface Seen {
      readonly at?: number;
      readonly ip?: string | null;
      readonly userAgent?: string | null;
      readonly token?: Partial<TokenTimes>;
      readonly policy?: Partial<SessionPolicy>;
      readonly user?: SessionUser;
      readonly track?: boolean;
      readonly clientKey?: string | null;
    }

    function sight(of: string, seen: Seen = {}): Promise<SightAnswer> {
      const { at = now, ip = '203.0.113.7', userAgent = 'Mozilla/5.0' } = seen;
      return store.sight(seen.user ?? user, {
        handle: of,
        sighting: { at, ip, userAgent },
        token: token(seen.token),
        policy: { ...POLICY, ...seen.policy },
        ...(seen.track === undefined ? {} : { track: seen.track }),
        ...(seen.clientKey === undefined ? {} : { clientKey: seen.clientKey }),
      });
    }

    async function live(of: string, seen?: Seen): Promise<Extract<SightAnswer, { state: 'live' }>> {
      const answer = await sight(of, seen);
      assert.equal(answer.state, 'live');
      return answer;
    }

    async function ended(of: string, seen?: Seen): Promise<Extract<SightAnswer, { state: 'ended' }>> {
      const answer = await sight(of, seen);
      assert.equal(answer.state, 'ended');
      return answer;
    }

    const revoke = (of: string, more: { token?: TokenTimes; at?: number } = {}) =>
      store.revoke(user, { handle: of, reason: 'signed_out', by: null, at: now, policy: POLICY, ...more });
    const revokeAll = (more: Partial<RevokeAllRequest> = {}) =>
      store.revokeAll(user, { except: null, reason: 'everywhere', by: 'owner', at: now, policy: POLICY, ...more });
    const get = (of: string, at = now, policy: Partial<SessionPolicy> = {}) =>
      store.get(user, of, at, { ...POLICY, ...policy });
    const label = (of: string, text: string | null, at = now) => store.label(user, of, text, at, POLICY);

    async function listed(at = now, limit = 200, policy: Partial<SessionPolicy> = {}): Promise<string[]> {
      const handles: string[] = [];
      let cursor = null;
      do {
        const page = await store.list(user, { limit, cursor, at, policy: { ...POLICY, ...policy } });
        assert.ok(page.sessions.length <= limit);
        handles.push(...page.sessions.map((session) => session.handle));
        cursor = page.next;
      } while (cursor !== null);
      return handles;
    }

    const restore = (known: { tombstones?: Tombstone[]; cutoff?: Cutoff | null }) =>
      store.restore(user, { tombstones: [], cutoff: null, at: now, policy: POLICY, ...known });

    function lastCutoff(): Cutoff {
      const last = notices.at(-1)?.notice;
      assert.equal(last?.kind, 'cutoff');
      return last.cutoff;
    }

    describe('sight', () => {
      it('puts a session on record', async () => {
        assert.deepEqual(await sight(handle(1), { token: { issuedAt: now - MINUTE } }), {
          state: 'live',
          startedAt: now - MINUTE,
          expiresAt: now + HOUR,
          created: true,
          knownClient: false,
          moved: null,
          hasIssuedAt: true,
          survivedCutoffAt: 0,
        });
        assert.deepEqual(await get(handle(1)), {
          handle: handle(1),
          startedAt: now - MINUTE,
          lastSeenAt: now,
          expiresAt: now + HOUR,
          ip: '203.0.113.7',
          userAgent: 'Mozilla/5.0',
          label: null,
        });
      });

      it('updates what is live, and says where it was before when it moved', async () => {
        await sight(handle(1));
        const same = await live(handle(1), { at: now + MINUTE });
        assert.deepEqual([same.created, same.moved], [false, null]);
        const moved = await live(handle(1), { at: now + 2 * MINUTE, ip: '203.0.113.8', userAgent: 'curl/8' });
        assert.deepEqual([moved.created, moved.moved], [false, { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' }]);
        const record = await get(handle(1));
        assert.deepEqual(
          [record?.ip, record?.userAgent, record?.lastSeenAt],
          ['203.0.113.8', 'curl/8', now + 2 * MINUTE],
        );
      });

      it('keeps where it was seen by a sighting that does not tell', async () => {
        await sight(handle(1));
        const untold = await live(handle(1), { at: now + MINUTE, ip: null, userAgent: null });
        assert.deepEqual([untold.created, untold.moved], [false, null]);
        const record = await get(handle(1));
        assert.deepEqual(
          [record?.ip, record?.userAgent, record?.lastSeenAt],
          ['203.0.113.7', 'Mozilla/5.0', now + MINUTE],
        );
      });

      it('does not move the last-seen time back', async () => {
        await sight(handle(1), { at: now + MINUTE });
        await sight(handle(1), { at: now });
        assert.equal((await get(handle(1)))?.lastSeenAt, now + MINUTE);
      });

      it('begins a session with the earliest iat, else with the first sighting', async () => {
        await sight(handle(1), { token: { issuedAt: now - MINUTE } });
        assert.equal((await live(handle(1), { token: { issuedAt: now - HOUR } })).startedAt, now - HOUR);
        assert.equal((await live(handle(1), { token: { issuedAt: now } })).startedAt, now - HOUR);
        assert.equal((await live(handle(1), { token: { issuedAt: null } })).startedAt, now - HOUR);

        assert.equal((await live(handle(2), { token: { issuedAt: null } })).startedAt, now);
        const later = { at: now + MINUTE, token: { issuedAt: null } };
        assert.equal((await live(handle(2), later)).startedAt, now);
        assert.equal((await live(handle(2), { token: { issuedAt: now + SECOND } })).startedAt, now + SECOND);
      });

      it('ends a session with the latest exp, or with its lifetime', async () => {
        assert.equal((await live(handle(1))).expiresAt, now + HOUR);
        assert.equal((await live(handle(1), { token: { expiresAt: now + 3 * HOUR } })).expiresAt, now + 3 * HOUR);
        assert.equal((await live(handle(1), { token: { expiresAt: now + 2 * HOUR } })).expiresAt, now + 3 * HOUR);
        assert.equal((await live(handle(1), { token: { lifetime: DAY } })).expiresAt, now + DAY);
        assert.equal((await live(handle(2), { token: { expiresAt: null, lifetime: DAY } })).expiresAt, now + DAY);
      });

      it('keeps what is ended ended, for as long as a token met there is good', async () => {
        await sight(handle(1));
        await revoke(handle(1));
        const first = await ended(handle(1));
        assert.deepEqual(first.ending, {
          cause: 'revoked',
          reason: 'signed_out',
          by: null,
          at: now,
          expiresAt: now + HOUR,
        });
        assert.equal(first.until, now + HOUR + DAY);
        const later = { at: now + MINUTE, token: { expiresAt: now + 5 * HOUR } };
        assert.equal((await ended(handle(1), later)).until, now + 5 * HOUR + DAY);
        assert.equal((await ended(handle(1))).until, now + 5 * HOUR + DAY);
        assert.equal(await get(handle(1)), null);
      });

      it('ends what was idle for too long, for good', async () => {
        const policy = { idleTimeout: 30 * MINUTE };
        await sight(handle(1), { policy });
        assert.equal((await live(handle(1), { policy, at: now + 29 * MINUTE })).state, 'live');
        const late = now + 59 * MINUTE;
        assert.equal(await get(handle(1), late, policy), null);
        const { ending } = await ended(handle(1), { policy, at: late, token: { expiresAt: now + DAY } });
        assert.deepEqual([ending.cause, ending.reason, ending.at], ['idle', 'idle', late]);
        assert.equal((await ended(handle(1), { at: late + SECOND })).ending.cause, 'idle');
      });

      it('ends what has lived its lifetime, known or not, past the clock tolerance', async () => {
        const times = { lifetime: HOUR, expiresAt: now + DAY };
        await sight(handle(1), { token: times });
        const end = now + HOUR + POLICY.clockTolerance;
        assert.equal((await live(handle(1), { token: times, at: end - 1 })).expiresAt, now + HOUR);
        assert.equal((await ended(handle(1), { token: times, at: end })).ending.cause, 'expired');
        assert.equal((await ended(handle(1), { token: { expiresAt: now + DAY }, at: end })).ending.reason, 'expired');

        assert.equal((await ended(handle(2), { token: times, at: end })).ending.cause, 'expired');
        assert.equal((await live(handle(2), { token: { issuedAt: now + MINUTE, ...times }, at: end })).created, true);
      });

      it('ends a session by the lifetime that an older token shows', async () => {
        const times = { lifetime: HOUR, expiresAt: now + DAY };
        await sight(handle(1), { token: times });
        const { ending } = await ended(handle(1), { token: { ...times, issuedAt: now - 2 * HOUR } });
        assert.equal(ending.cause, 'expired');
        assert.equal((await ended(handle(1), { token: times })).ending.cause, 'expired');
      });

      it('takes a session on whose tokens ran out, with a token that is good', async () => {
        const policy = { idleTimeout: DAY };
        await sight(handle(1), { policy });
        const later = now + 2 * HOUR;
        assert.equal(await get(handle(1), later, policy), null);
        assert.deepEqual(await listed(later, 200, policy), []);
        const answer = await live(handle(1), { policy, at: later, token: { expiresAt: now + 3 * HOUR } });
        assert.deepEqual([answer.created, answer.startedAt], [false, now]);
        assert.deepEqual(await listed(later, 200, policy), [handle(1)]);
      });

      it('knows a session again whose short token ran out a while ago, without idle timeout and lifetime', async () => {
        const before = now - 3 * HOUR;
        await sight(handle(1), { at: before, token: { issuedAt: before, expiresAt: now - 2 * HOUR } });
        await label(handle(1), 'tablet', before);
        assert.deepEqual(await listed(), []);
        assert.equal(await get(handle(1)), null);
        const answer = await live(handle(1));
        assert.deepEqual([answer.created, answer.startedAt], [false, before]);
        assert.equal((await get(handle(1)))?.label, 'tablet');
      });

      it('keeps users apart', async () => {
        const other = sessionUser('https://id.example.com/', `other than ${user.subject}`);
        await sight(handle(1));
        assert.equal(await store.get(other, handle(1), now, POLICY), null);
        assert.equal((await live(handle(1), { user: other })).created, true);
        await revokeAll();
        assert.notEqual(await store.get(other, handle(1), now, POLICY), null);
      });

      for (const [what, text] of HOSTILE_TEXTS) {
        it(`keeps ${what} as one line, well-formed and bounded`, async () => {
          await sight(handle(1), { userAgent: text, ip: text });
          const record = await label(handle(1), text);
          const kept = [record?.userAgent, record?.ip, record?.label].map((part) => part ?? '');
          const [userAgent = '', ip = '', name = ''] = kept;
          for (const part of kept) {
            assert.ok(part.isWellFormed());
            assert.match(part, /^[^\p{Cc}]+$/u);
          }
          assert.deepEqual([userAgent.length <= 512, ip.length <= 64, [...name].length <= 64], [true, true, true]);
          assert.deepEqual(await get(handle(1)), record);

          // Seen again with the same it has not moved.
          assert.equal((await live(handle(1), { userAgent: text, ip: text })).moved, null);
          await store.revoke(user, { handle: handle(1), reason: text, by: text, at: now, policy: POLICY });
          const { ending } = await ended(handle(1));
          assert.deepEqual([ending.reason.length <= 200, (ending.by ?? '').length <= 200], [true, true]);
          assert.ok(ending.reason.isWellFormed());
        });
      }

      it('keeps empty texts as null', async () => {
        await sight(handle(1), { ip: '', userAgent: '' });
        const record = await label(handle(1), '');
        assert.deepEqual([record?.ip, record?.userAgent, record?.label], [null, null, null]);
      });

      for (const [what, times] of [
        ['no exp and no lifetime', { expiresAt: null }],
        ['the last exp there is', { expiresAt: 8.64e15 }],
        ['an iat before 1970', { issuedAt: -5 * SECOND }],
        ['a year of lifetime', { lifetime: 365 * DAY, expiresAt: null }],
      ] as const) {
        it(`takes a token with ${what}`, async () => {
          const answer = await live(handle(1), { token: times });
          assert.ok(!Number.isNaN(new Date(answer.expiresAt).getTime()));
          const [session] = (await store.list(user, { limit: 1, cursor: null, at: now, policy: POLICY })).sessions;
          assert.deepEqual([session?.startedAt, session?.expiresAt], [answer.startedAt, answer.expiresAt]);
          await revoke(handle(1));
          assert.ok(!Number.isNaN(new Date((await ended(handle(1), { token: times })).until).getTime()));
        });
      }
    });

    describe('clients', () => {
      const YEAR = 365 * DAY;
      const knownClient = async (of: number, clientKey: string | null, seen: Seen = {}): Promise<boolean> =>
        (await live(handle(of), { token: { expiresAt: now + 3 * YEAR }, ...seen, clientKey })).knownClient;

      it('are knownClient from the second time on, whatever session', async () => {
        assert.equal(await knownClient(1, 'a'), false);
        assert.equal(await knownClient(2, 'a'), true);
        assert.equal(await knownClient(3, 'b'), false);
        assert.equal(await knownClient(4, 'a'), true);
      });

      it('are those of one user', async () => {
        await knownClient(1, 'a');
        const other = sessionUser('https://id.example.com/', `${user.subject} too`);
        assert.equal(await knownClient(1, 'a', { user: other }), false);
      });

      it('are not noted without a key, by an untracked sighting, or where the session has ended', async () => {
        assert.equal(await knownClient(1, null), false);
        assert.equal(await knownClient(2, null), false);
        assert.equal(await knownClient(3, 'a', { track: false }), false);
        await revoke(handle(1));
        await ended(handle(1), { clientKey: 'a' });
        assert.equal(await knownClient(4, 'a'), false);
      });

      it('stay knownClient after their sessions ended, everywhere', async () => {
        await knownClient(1, 'a');
        await revokeAll();
        assert.equal(await knownClient(2, 'a', { token: { issuedAt: now + DAY } }), true);
      });

      it('are the 20 last noted, each for a year', async () => {
        for (let index = 0; index < 20; index += 1) await knownClient(index, String(index), { at: now + index });
        assert.equal(await knownClient(30, '0', { at: now + 20 }), true);
        assert.equal(await knownClient(31, 'new', { at: now + 21 }), false);
        assert.equal(await knownClient(32, '0', { at: now + 22 }), true);
        assert.equal(await knownClient(33, '1', { at: now + 23 }), false);
        assert.equal(await knownClient(34, '0', { at: now + YEAR - DAY }), true);
        assert.equal(await knownClient(35, '19', { at: now + YEAR + 2 * DAY }), false);
      });
    });

    describe('a sighting that is not tracked', () => {
      it('is answered, and puts nothing on record', async () => {
        assert.deepEqual(await sight(handle(1), { track: false, token: { issuedAt: now - MINUTE } }), {
          state: 'live',
          startedAt: now - MINUTE,
          expiresAt: now + HOUR,
          created: false,
          knownClient: false,
          moved: null,
          hasIssuedAt: true,
          survivedCutoffAt: 0,
        });
        assert.equal(await get(handle(1)), null);
        assert.equal((await live(handle(1))).created, true);
      });

      it('changes nothing of what is on record', async () => {
        await sight(handle(1));
        const before = await get(handle(1));
        const elsewhere = { at: now + MINUTE, ip: '198.51.100.1', userAgent: 'curl/8', track: false };
        assert.equal((await live(handle(1), elsewhere)).moved, null);
        assert.deepEqual(await get(handle(1)), before);
      });

      it('takes no place under the cap, and ends nobody for one', async () => {
        const policy = { maxSessions: 1 };
        await sight(handle(1), { policy });
        await live(handle(2), { policy, track: false });
        await live(handle(3), { policy: { ...policy, atSessionLimit: 'refuse' }, track: false });
        assert.deepEqual(await listed(), [handle(1)]);
        assert.deepEqual(notices, []);
      });

      it('is ended by tombstone, by cutoff, and as idle', async () => {
        await sight(handle(1));
        await revoke(handle(1));
        assert.equal((await ended(handle(1), { track: false })).ending.reason, 'signed_out');
        await sight(handle(2), { policy: { idleTimeout: MINUTE } });
        const idle = await ended(handle(2), { at: now + MINUTE, policy: { idleTimeout: MINUTE }, track: false });
        assert.equal(idle.ending.cause, 'idle');
        await revokeAll();
        assert.equal((await ended(handle(3), { track: false, token: { issuedAt: now - MINUTE } })).ending.by, 'owner');
        assert.equal((await ended(handle(4), { track: false, token: { issuedAt: null } })).ending.by, 'owner');
      });
    });

    describe('the cap', () => {
      const policy = { maxSessions: 3 };

      it('ends the session seen longest ago, and says so before it answers', async () => {
        for (const number of [1, 2, 3]) await sight(handle(number), { policy, at: now + number });
        await sight(handle(1), { policy, at: now + 10 });
        const announced = notices.length;
        assert.equal((await live(handle(4), { policy, at: now + 11 })).created, true);
        assert.equal(announced, 0);
        const [said, ...others] = notices;
        assert.deepEqual(others, []);
        assert.ok(said?.notice.kind === 'ended');
        assert.deepEqual(said.notice.tombstone, {
          handle: handle(2),
          ending: { cause: 'revoked', reason: 'session_limit', by: null, at: now + 11, expiresAt: now + HOUR },
          until: now + HOUR + DAY,
        });
        assert.deepEqual(await listed(), [handle(4), handle(1), handle(3)]);
        assert.equal((await ended(handle(2), { policy, at: now + 12 })).ending.reason, 'session_limit');
      });

      it('refuses where the policy says so, and records nothing', async () => {
        const refusing = { ...policy, atSessionLimit: 'refuse' as const };
        for (const number of [1, 2, 3]) await sight(handle(number), { policy: refusing });
        assert.deepEqual(await sight(handle(4), { policy: refusing }), { state: 'refused' });
        assert.equal((await live(handle(1), { policy: refusing, at: now + 1 })).created, false);
        assert.equal(await get(handle(4)), null);
        await revoke(handle(1));
        assert.equal((await live(handle(4), { policy: refusing })).created, true);
      });

      it('never ends the current session, also where all were seen later than now', async () => {
        for (const number of [1, 2, 3]) await sight(handle(number), { policy, at: now + HOUR / 2 + number });
        assert.equal((await live(handle(4), { policy })).created, true);
        assert.deepEqual(await listed(), [handle(3), handle(2), handle(4)]);
      });

      it('ends as many as it takes where it was lowered', async () => {
        for (const number of [1, 2, 3, 4, 5, 6]) await sight(handle(number), { at: now + number });
        await live(handle(7), { policy, at: now + 7 });
        assert.deepEqual(await listed(), [handle(7), handle(6), handle(5)]);
        assert.equal(notices.length, 4);
      });

      it('counts a session that is taken on again as a new one', async () => {
        const idle = { ...policy, idleTimeout: DAY };
        await sight(handle(1), { policy: idle });
        const later = now + 2 * HOUR;
        const fresh = { policy: idle, at: later, token: { expiresAt: later + HOUR } };
        for (const number of [2, 3, 4]) await sight(handle(number), fresh);
        assert.equal(notices.length, 0);
        await live(handle(1), { ...fresh, at: later + 1 });
        assert.equal(notices.length, 1);
        assert.equal((await listed(later + 1, 200, idle)).length, 3);
      });

      it('does not count what has ended', async () => {
        const idle = { ...policy, idleTimeout: MINUTE };
        for (const number of [1, 2, 3]) await sight(handle(number), { policy: idle });
        await live(handle(4), { policy: idle, at: now + 2 * MINUTE });
        assert.deepEqual(notices, []);
      });

      it('holds under a hundred first sightings at once', async () => {
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, number) => sight(handle(number), { policy: { maxSessions: 10 } })),
        );
        assert.ok(answers.every(({ state }) => state === 'live'));
        assert.equal((await listed()).length, 10);
        assert.equal(notices.length, 90);
      });

      it('refuses all but as many under a hundred first sightings at once', async () => {
        const refusing = { maxSessions: 10, atSessionLimit: 'refuse' as const };
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, number) => sight(handle(number), { policy: refusing })),
        );
        assert.equal(answers.filter(({ state }) => state === 'live').length, 10);
        assert.equal(answers.filter(({ state }) => state === 'refused').length, 90);
      });
    });

    describe('list', () => {
      it('gives what is live, most recently seen first, equal moments by handle', async () => {
        const seenAt = [3, 1, 3, 2, 9, 3];
        for (const [number, at] of seenAt.entries()) await sight(handle(number), { at: now + at });
        await revoke(handle(4));
        const expected = [handle(0), handle(2), handle(5), handle(3), handle(1)];
        for (const limit of [1, 2, 3, 4, 5, 200]) assert.deepEqual(await listed(now, limit), expected);
      });

      it('ends where the sessions end', async () => {
        for (const number of [1, 2]) await sight(handle(number));
        const page = await store.list(user, { limit: 2, cursor: null, at: now, policy: POLICY });
        assert.equal(page.next, null);
        assert.deepEqual(
          await store.list(user, { limit: 1, cursor: { lastSeenAt: 0, handle: '' }, at: now, policy: POLICY }),
          {
            sessions: [],
            next: null,
          },
        );
      });

      it('goes on behind the cursor, also where its session is gone', async () => {
        for (const number of [1, 2, 3, 4]) await sight(handle(number), { at: now - number });
        const { next } = await store.list(user, { limit: 2, cursor: null, at: now, policy: POLICY });
        assert.deepEqual(next, { lastSeenAt: now - 2, handle: handle(2) });
        await revoke(handle(2));
        const rest = await store.list(user, { limit: 2, cursor: next, at: now, policy: POLICY });
        assert.deepEqual(
          rest.sessions.map((session) => session.handle),
          [handle(3), handle(4)],
        );
      });

      it('is empty for a user who was never seen', async () => {
        assert.deepEqual(await listed(), []);
      });
    });

    describe('label', () => {
      it('names a live session, and takes the name away', async () => {
        await sight(handle(1));
        assert.equal((await label(handle(1), "Mum's iPad"))?.label, "Mum's iPad");
        await sight(handle(1), { at: now + 1 });
        assert.deepEqual([(await get(handle(1)))?.label, (await get(handle(1)))?.lastSeenAt], ["Mum's iPad", now + 1]);
        assert.equal((await label(handle(1), null))?.label, null);
        assert.equal((await get(handle(1)))?.label, null);
      });

      it('cuts between code points', async () => {
        await sight(handle(1));
        assert.equal((await label(handle(1), '😀'.repeat(70)))?.label, '😀'.repeat(64));
      });

      it('leaves alone what is not live', async () => {
        await sight(handle(1));
        await revoke(handle(1));
        assert.equal(await label(handle(1), 'x'), null);
        assert.equal(await label(handle(2), 'x'), null);
        assert.equal((await ended(handle(1))).state, 'ended');
        assert.equal((await live(handle(2))).created, true);
      });
    });

    describe('revoke', () => {
      it('ends once, and announces that it did', async () => {
        await sight(handle(1));
        assert.equal(
          await store.revoke(user, { handle: handle(1), reason: 'stolen', by: 'admin', at: now, policy: POLICY }),
          'ended',
        );
        assert.equal(await revoke(handle(1), { at: now + MINUTE }), 'already');
        const ending = { cause: 'revoked', reason: 'stolen', by: 'admin', at: now, expiresAt: now + HOUR } as const;
        const tombstone = { handle: handle(1), ending, until: now + HOUR + DAY };
        assert.deepEqual(notices, [{ own: true, notice: { kind: 'ended', user, tombstone } }]);
      });

      it('does not know what was never seen', async () => {
        assert.equal(await revoke(handle(1)), 'unknown');
        assert.deepEqual(notices, []);
        assert.equal((await live(handle(1))).created, true);
      });

      it('ends what was never seen where the caller holds its token', async () => {
        assert.equal(await revoke(handle(1), { token: token() }), 'ended');
        const { ending, until } = await ended(handle(1));
        assert.deepEqual([ending.reason, ending.expiresAt, until], ['signed_out', now + HOUR, now + HOUR + DAY]);
        assert.equal(await revoke(handle(1)), 'already');
      });

      it('stands until the lifetime is over, or the latest exp and a while', async () => {
        await sight(handle(1), { token: { lifetime: 30 * DAY } });
        await revoke(handle(1));
        assert.equal((await ended(handle(1))).until, now + 30 * DAY + POLICY.clockTolerance);
        await sight(handle(2));
        await revoke(handle(2), { token: token({ expiresAt: now + 9 * HOUR }) });
        assert.equal((await ended(handle(2))).until, now + 9 * HOUR + DAY);
      });

      it('stands as long as the clock tolerance lets a token pass', async () => {
        const policy = { ...POLICY, tombstoneFor: MINUTE, clockTolerance: 5 * MINUTE };
        await sight(handle(1), { policy });
        await store.revoke(user, { handle: handle(1), reason: 'gone', by: null, at: now, policy });
        assert.equal((await ended(handle(1), { policy })).until, now + HOUR + 5 * MINUTE);
      });

      it('ends for good what had merely run out', async () => {
        const policy = { idleTimeout: DAY };
        await sight(handle(1), { policy });
        assert.equal(
          await store.revoke(user, {
            handle: handle(1),
            reason: 'gone',
            by: null,
            at: now + 2 * HOUR,
            policy: { ...POLICY, ...policy },
          }),
          'ended',
        );
        assert.equal(
          (await ended(handle(1), { policy, at: now + 2 * HOUR, token: { expiresAt: now + DAY } })).ending.reason,
          'gone',
        );
      });
    });

    describe('revokeAll', () => {
      it('ends every session but the excepted one, and counts the live ones', async () => {
        for (const number of [1, 2, 3, 4]) await sight(handle(number));
        await revoke(handle(4));
        notices.length = 0;
        assert.deepEqual(await revokeAll({ except: handle(2) }), { ended: 2 });
        assert.deepEqual(await listed(), [handle(2)]);
        const { cutoff, ended: told } = notices[0]?.notice as Extract<Notice, { kind: 'cutoff' }>;
        assert.deepEqual([cutoff.except, cutoff.reason, cutoff.by], [handle(2), 'everywhere', 'owner']);
        assert.deepEqual(
          [...told].sort((a, b) => (a.handle < b.handle ? -1 : 1)),
          [1, 3].map((number) => ({ handle: handle(number), expiresAt: now + HOUR, until: now + HOUR + DAY })),
        );
        const { ending } = await ended(handle(1));
        assert.deepEqual(ending, {
          cause: 'revoked',
          reason: 'everywhere',
          by: 'owner',
          at: cutoff.at,
          expiresAt: now + HOUR,
        });
        assert.equal(await revoke(handle(1)), 'already');
        assert.equal((await ended(handle(4))).ending.reason, 'signed_out');
      });

      it('ends what was never seen here and began before, by whole seconds', async () => {
        await revokeAll();
        const { at } = lastCutoff();
        const second = Math.floor(at / SECOND) * SECOND;
        const began = (issuedAt: number | null) => ({ at: at + 1, token: { issuedAt } });
        assert.equal((await ended(handle(1), began(second - 1))).ending.reason, 'everywhere');
        assert.equal((await ended(handle(2), began(null))).ending.cause, 'revoked');
        assert.deepEqual(
          [
            (await live(handle(3), began(second))).survivedCutoffAt,
            (await live(handle(4), began(second + SECOND))).survivedCutoffAt,
          ],
          [at, at],
        );
        assert.deepEqual(await listed(at + 1), [handle(3), handle(4)]);
        // It stays so for a token refreshed since.
        assert.equal((await ended(handle(1), began(second + HOUR))).ending.reason, 'everywhere');
        // An older token of the same session shows when it began.
        assert.equal((await ended(handle(3), began(second - MINUTE))).ending.reason, 'everywhere');
        assert.equal((await ended(handle(3), began(second))).ending.reason, 'everywhere');
      });

      it('ends what was known in its own second, and lets a new login of that second in', async () => {
        await sight(handle(1), { token: { issuedAt: now + HOUR } });
        assert.deepEqual(await revokeAll(), { ended: 1 });
        assert.equal((await ended(handle(1), { token: { issuedAt: now + HOUR } })).ending.reason, 'everywhere');
        assert.equal((await live(handle(2), { token: { issuedAt: lastCutoff().at } })).created, true);
      });

      it('may be repeated, and later ones are later', async () => {
        for (const number of [1, 2]) await sight(handle(number));
        assert.deepEqual(await revokeAll({ except: handle(1) }), { ended: 1 });
        const first = lastCutoff();
        assert.deepEqual(await revokeAll({ except: handle(1) }), { ended: 0 });
        assert.ok(lastCutoff().at > first.at);
        assert.equal((await live(handle(1))).state, 'live');
        assert.deepEqual(await revokeAll(), { ended: 1 });
        assert.equal((await ended(handle(1))).state, 'ended');
      });

      it('does not bring back by an exception what an earlier one ended', async () => {
        await sight(handle(1));
        await revokeAll();
        await revokeAll({ except: handle(1) });
        assert.equal((await ended(handle(1))).state, 'ended');
        const old = { token: { issuedAt: now - HOUR } };
        await revokeAll({ except: handle(2) });
        assert.equal((await ended(handle(2), old)).state, 'ended');
        await revokeAll({ except: handle(2) });
        assert.equal((await ended(handle(2), old)).state, 'ended');
      });

      it('spares an excepted session that is seen only afterwards', async () => {
        await revokeAll({ except: handle(1) });
        const old = { token: { issuedAt: now - HOUR } };
        assert.equal((await live(handle(1), old)).created, true);
        await revokeAll({ except: handle(1) });
        assert.equal((await live(handle(1), old)).created, false);
        assert.equal((await ended(handle(2), old)).state, 'ended');
      });

      it('does not count what has run out', async () => {
        const policy = { ...POLICY, idleTimeout: MINUTE };
        await sight(handle(1), { policy });
        assert.deepEqual(await revokeAll({ at: now + 2 * MINUTE, policy }), { ended: 0 });
      });

      it('ends what has merely run out, so that a token refreshed since does not take it on', async () => {
        const before = now - 3 * HOUR;
        await sight(handle(1), { at: before, token: { issuedAt: before, expiresAt: now - 2 * HOUR } });
        await sight(handle(2));
        assert.deepEqual(await revokeAll(), { ended: 1 });
        const told = notices.flatMap(({ notice }) => (notice.kind === 'cutoff' ? notice.ended : []));
        assert.deepEqual(
          told.map((one) => one.handle),
          [handle(2)],
        );
        const { at } = lastCutoff();
        const refreshed = { at: at + 2 * SECOND, token: { issuedAt: at + 2 * SECOND, expiresAt: at + HOUR } };
        assert.deepEqual((await ended(handle(1), refreshed)).ending, {
          cause: 'revoked',
          reason: 'everywhere',
          by: 'owner',
          at,
          expiresAt: now - 2 * HOUR,
        });
        assert.equal((await live(handle(3), refreshed)).created, true);
      });

      it('counts each session once when two are at it', async () => {
        await Promise.all(Array.from({ length: 40 }, (_, number) => sight(handle(number))));
        const answers = await Promise.all([revokeAll(), revokeAll(), revokeAll()]);
        assert.equal(
          answers.reduce((sum, answer) => sum + answer.ended, 0),
          40,
        );
        assert.deepEqual(await listed(), []);
      });
    });

    describe('restore', () => {
      const tombstone = (number: number, until: number): Tombstone => ({
        handle: handle(number),
        ending: { cause: 'revoked', reason: 'stolen', by: 'admin', at: now - MINUTE, expiresAt: now + HOUR },
        until,
      });

      it('writes tombstones back where there are none, also over live sessions', async () => {
        await sight(handle(1));
        const known = [tombstone(1, now + 3 * DAY), tombstone(2, now + 3 * DAY)];
        await restore({ tombstones: known });
        assert.deepEqual(await listed(), []);
        for (const { handle: of, ending, until } of known) {
          assert.deepEqual(await sight(of), { state: 'ended', ending, until });
        }
        assert.deepEqual(notices, []);
      });

      it('prolongs a tombstone and never shortens one', async () => {
        await restore({ tombstones: [tombstone(1, now + 3 * DAY)] });
        await restore({ tombstones: [tombstone(1, now + 2 * DAY)] });
        assert.equal((await ended(handle(1))).until, now + 3 * DAY);
        await restore({ tombstones: [tombstone(1, now + 4 * DAY)] });
        assert.equal((await ended(handle(1))).until, now + 4 * DAY);
      });

      it('takes hundreds of tombstones', async () => {
        await restore({ tombstones: Array.from({ length: 450 }, (_, number) => tombstone(number, now + 3 * DAY)) });
        for (const number of [0, 99, 100, 199, 449]) await ended(handle(number));
        assert.equal((await live(handle(450))).created, true);
      });

      it('puts a cutoff back: what began after it stays, the rest falls', async () => {
        const cutoff = { at: now - MINUTE, except: handle(4), reason: 'everywhere', by: null };
        const began = (issuedAt: number | null) => ({ token: { issuedAt } });
        await sight(handle(1), began(cutoff.at + 2 * SECOND));
        await sight(handle(2), began(cutoff.at - 2 * SECOND));
        await sight(handle(3), began(null));
        await sight(handle(4), began(cutoff.at - HOUR));
        await sight(handle(5), began(cutoff.at));
        await restore({ cutoff });
        assert.deepEqual(await listed(), [handle(1), handle(4)]);
        assert.equal((await live(handle(1), began(cutoff.at + 2 * SECOND))).survivedCutoffAt, cutoff.at);
        for (const number of [2, 3, 5])
          assert.equal((await ended(handle(number), began(now))).ending.reason, 'everywhere');
        assert.deepEqual(notices, []);
        assert.deepEqual(await revokeAll(), { ended: 2 });
      });

      it('never moves a cutoff back', async () => {
        await revokeAll();
        const { at } = lastCutoff();
        await restore({ cutoff: { at: at - HOUR, except: handle(1), reason: 'older', by: null } });
        const { ending } = await ended(handle(1), { token: { issuedAt: at - MINUTE } });
        assert.deepEqual([ending.at, ending.reason], [at, 'everywhere']);
      });
    });

    // Last: what it does stays behind in whatever the stores share.
    describe('endEverywhere', () => {
      const other = () => sessionUser('https://other.example.com/', user.subject);
      const endEverywhere = (more: { reason?: string; by?: string | null } = {}) =>
        store.endEverywhere({ reason: 'incident', by: 'operator', at: now, ...more });
      async function globalCutoff(): Promise<GlobalCutoff> {
        await endEverywhere();
        const last = generalCutoffs.at(-1);
        assert.ok(last?.own);
        return last.cutoff;
      }
      const began = (issuedAt: number | null, more: Partial<Seen> = {}): Seen => ({
        at: (issuedAt ?? now) + 1,
        token: { issuedAt, expiresAt: now + DAY },
        ...more,
      });

      it('ends the sessions of all users, whatever one does with them', async () => {
        for (const number of [1, 2]) await sight(handle(number), began(now - HOUR));
        await sight(handle(3), began(now - HOUR, { user: other() }));
        const { at, reason, by } = await globalCutoff();
        assert.deepEqual([reason, by, generalCutoffs.length], ['incident', 'operator', 1]);
        assert.deepEqual(await listed(at), []);
        assert.equal(await get(handle(1), at), null);
        assert.equal(await label(handle(1), 'mine', at), null);
        assert.equal(await revoke(handle(1), { at }), 'already');
        const { ending, until } = await ended(handle(2), began(now - HOUR));
        assert.deepEqual(ending, { cause: 'revoked', reason, by, at, expiresAt: now + DAY });
        assert.equal(until, now + 2 * DAY);
        assert.deepEqual((await ended(handle(1), began(now - HOUR))).ending, ending);
        assert.equal((await ended(handle(3), began(now - HOUR, { user: other() }))).ending.reason, 'incident');
      });

      it('ends what was never seen and began before, or as long after as clocks may disagree', async () => {
        const { at } = await globalCutoff();
        const edge = at + POLICY.clockTolerance;
        for (const issuedAt of [now - HOUR, at, edge, null]) {
          const of = handle(100 + (edge - (issuedAt ?? 0)));
          assert.equal((await ended(of, began(issuedAt))).ending.reason, 'incident');
          // It stays so for a token refreshed since.
          assert.equal((await ended(of, began(edge + HOUR))).ending.reason, 'incident');
        }
        assert.equal((await ended(handle(1), began(at, { track: false }))).ending.reason, 'incident');
        assert.equal((await live(handle(2), began(edge + 1))).created, true);
        assert.equal((await live(handle(3), began(edge + 1, { track: false }))).created, false);
        assert.deepEqual(await listed(edge + 2), [handle(2)]);
        // An older token of the same session shows when it began.
        assert.equal((await ended(handle(2), began(edge))).ending.reason, 'incident');
      });

      it('makes room under the cap, of what it ended alone', async () => {
        const policy = { maxSessions: 2, atSessionLimit: 'refuse' } as const;
        for (const number of [1, 2]) await live(handle(number), began(now - HOUR, { policy }));
        assert.equal((await sight(handle(3), began(now - HOUR, { policy }))).state, 'refused');
        const { at } = await globalCutoff();
        const later = began(at + MINUTE, { policy });
        for (const number of [3, 4]) assert.equal((await live(handle(number), later)).created, true);
        assert.equal((await sight(handle(5), later)).state, 'refused');
      });

      it('leaves nothing for revokeAll to count, which ends what began since', async () => {
        for (const number of [1, 2]) await sight(handle(number), began(now - HOUR));
        const { at } = await globalCutoff();
        assert.deepEqual(await revokeAll({ at }), { ended: 0 });
        await live(handle(3), began(at + MINUTE));
        assert.deepEqual(await revokeAll({ at: at + MINUTE }), { ended: 1 });
        assert.equal((await ended(handle(3), began(at + MINUTE))).ending.reason, 'everywhere');
        assert.equal((await ended(handle(1), began(now - HOUR))).ending.reason, 'incident');
      });

      it('may be repeated, and later ones are later', async () => {
        const first = await globalCutoff();
        const between = began(first.at + POLICY.clockTolerance + 1);
        await live(handle(1), between);
        const moments = [first.at];
        for (let time = 0; time < 3; time += 1) moments.push((await globalCutoff()).at);
        assert.deepEqual(
          moments,
          [...new Set(moments)].sort((a, b) => a - b),
        );
        await store.catchUp();
        assert.equal(generalCutoffs.length, 4);
      });

      for (const [name, text] of HOSTILE_TEXTS) {
        it(`keeps its words on one line, well-formed and short: ${name}`, async () => {
          await sight(handle(1), began(now - HOUR));
          await endEverywhere({ reason: text, by: text });
          const { ending } = await ended(handle(1), began(now - HOUR));
          for (const kept of [ending.reason, ending.by ?? '']) {
            assert.ok(kept.isWellFormed() && kept.length <= 200);
            assert.doesNotMatch(kept, /\p{Cc}/u);
          }
          assert.deepEqual(
            [ending.reason, ending.by],
            [generalCutoffs[0]?.cutoff.reason, generalCutoffs[0]?.cutoff.by],
          );
        });
      }
    });

    it('is well after an answer', async () => {
      await sight(handle(1));
      const health = store.health();
      assert.deepEqual([health.ok, health.lastError], [true, null]);
      assert.ok(health.age >= 0 && health.age < MINUTE);
    });
  });
}
