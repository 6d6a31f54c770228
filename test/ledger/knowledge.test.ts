/** The pure core of the ledger: every state with every event, and the invariants by their names in knowledge.ts. */

import { tokenEndsAt, type SessionPolicy } from '../../lib/core/policy.js';
import { sessionHandle, sessionUser, type Ending, type TokenTimes } from '../../lib/core/session.js';
import type { StaleTokens } from '../../lib/core/stale.js';
import {
  assess,
  factsOf,
  isPastLifetime,
  withoutVouch,
  type Freshness,
  type Knowledge,
  type KnownSession,
  type SessionUse,
} from '../../lib/ledger/knowledge.js';
import { learn, meaningOfCreated } from '../../lib/ledger/learn.js';
import {
  inferEnding,
  judgeAnswer,
  type KnownEndings,
  type LiveAnswer,
  type SightQuestion,
  type Verdict,
} from '../../lib/ledger/verdict.js';
import { refusalOf } from '../../lib/ledger/refusals.js';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const GENERATION = 3;
const POLICY: SessionPolicy = {
  idleTimeout: 30 * MINUTE,
  clockTolerance: 5_000,
  tombstoneFor: 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

const USER = sessionUser('https://id.example.com/', 'ann');
const HANDLE = sessionHandle(USER, 'a1');
const TIMES: TokenTimes = {
  beganAt: NOW - 10 * MINUTE,
  expiresAt: NOW + 60 * MINUTE,
  lifetime: null,
  sessionEndsAt: null,
};

const TOKEN = { user: USER, handle: HANDLE, times: TIMES };
const ENDING: Ending = {
  cause: 'revoked',
  reason: 'signed_out',
  by: 'ann',
  at: NOW,
  expiresAt: TIMES.expiresAt,
  origin: 'another-store',
};

const TOMBSTONE = { handle: HANDLE, ending: ENDING, until: NOW + 86_400_000 };
const LIVE: LiveAnswer = {
  state: 'live',
  startedAt: NOW - 10 * MINUTE,
  endsAt: null,
  expiresAt: NOW + 60 * MINUTE,
  lastSeenAt: NOW,
  created: false,
  knownClient: false,
  moved: null,
  survivedCutoffAt: 0,
  staleTokens: null,
};

const QUESTION: SightQuestion = {
  generation: GENERATION,
  asOf: 1_000,
  isCovered: true,
  token: TIMES,
  isTracked: true,
  isOvertaken: false,
  cutoffAt: NOW,
  staleAt: 0,
};

const NOTHING_ENDED: KnownEndings = {
  globalCutoff: null,
  find: () => undefined,
  cutoffOf: () => undefined,
  staleTokensOf: () => null,
};

const STALE: StaleTokens = { at: NOW, until: NOW + 86_400_000, reason: 'role_removed', by: 'admin' };
const REMEMBERED: KnownEndings = { ...NOTHING_ENDED, find: () => TOMBSTONE };

function cutoffAt(at: number, except: string | null = null): KnownEndings {
  return {
    ...NOTHING_ENDED,
    cutoffOf: () => ({
      at,
      except,
      reason: 'password_changed',
      by: null,
      origin: 'another',
      isRestored: false,
      isBackdated: false,
      erasedAt: 0,
    }),
  };
}

function globalCutoffAt(at: number): KnownEndings {
  return { ...NOTHING_ENDED, globalCutoff: { at, reason: 'incident', by: null, origin: 'another' } };
}

/** How old the vouch is, and how old it may be. */
function fresh(age = 100, generation = GENERATION): Freshness {
  return { generation, bound: 5_000, ageOf: () => age };
}

const FACTS = { ...factsOf(TIMES, NOW), isRecorded: true };
const VOUCH = { generation: GENERATION, asOf: 500, isCovered: true };

/** Every state that a session can be in. A vouch that is there or not makes two of one. */
const STATES = {
  unasked: { state: 'unasked', facts: FACTS },
  vouched: { state: 'live', facts: FACTS, vouch: VOUCH },
  unvouched: { state: 'live', facts: FACTS, vouch: null },
  ended: { state: 'ended', facts: FACTS },
} as const satisfies Record<string, Knowledge>;
type State = keyof typeof STATES;

function session(knowledge: Knowledge, seen: Partial<SessionUse> = {}, policy = POLICY): KnownSession {
  const use = { lastSeenAt: NOW, hasPaused: false, token: TIMES, tokensEndAt: tokenEndsAt(TIMES) };
  return { knowledge, activity: { ...use, ...seen }, policy };
}

function stateOf(knowledge: Knowledge): State {
  return knowledge.state === 'live' ? (knowledge.vouch === null ? 'unvouched' : 'vouched') : knowledge.state;
}

const verdictOn = (
  answer: Parameters<typeof judgeAnswer>[0],
  ended = NOTHING_ENDED,
  question = QUESTION,
  token = TOKEN,
  at = NOW,
): Verdict => judgeAnswer(answer, { token, question, policy: POLICY, at }, ended);

function after(knowledge: Knowledge, verdict: Verdict, question = QUESTION): Knowledge {
  return learn(session(knowledge), verdict, question, GENERATION, NOW).knowledge;
}

/** Everything that can happen to what is known of a session. */
const EVENTS = {
  'answered live': (known: Knowledge) => after(known, verdictOn(LIVE)),
  'answered live, overtaken by a notice': (known: Knowledge) => {
    const question = { ...QUESTION, isOvertaken: true };
    return after(known, verdictOn(LIVE, NOTHING_ENDED, question), question);
  },
  'answered live, asked before a gap': (known: Knowledge) =>
    after(known, verdictOn(LIVE), { ...QUESTION, generation: GENERATION - 1 }),
  'answered live, known to be ended': (known: Knowledge) => after(known, verdictOn(LIVE, REMEMBERED)),
  'answered live, cut off': (known: Knowledge) => after(known, verdictOn(LIVE, cutoffAt(NOW - MINUTE))),
  'answered live, cut off for all': (known: Knowledge) => after(known, verdictOn(LIVE, globalCutoffAt(NOW - MINUTE))),
  'answered ended': (known: Knowledge) => after(known, verdictOn({ state: 'ended', ...TOMBSTONE })),
  'answered that the cap is reached': (known: Knowledge) => after(known, verdictOn({ state: 'refused' })),
  'answered live to a token past its lifetime': (known: Knowledge) => {
    const token = { ...TOKEN, times: { ...TIMES, lifetime: MINUTE } };
    return after(known, verdictOn(LIVE, NOTHING_ENDED, QUESTION, token));
  },
  'a revocation failed': withoutVouch,
} as const satisfies Record<string, (known: Knowledge) => Knowledge>;
type Event = keyof typeof EVENTS;

const TRANSITIONS: Readonly<Record<State, Readonly<Record<Event, State>>>> = {
  unasked: {
    'answered live': 'vouched',
    'answered live, overtaken by a notice': 'unvouched',
    'answered live, asked before a gap': 'unvouched',
    'answered live, known to be ended': 'ended',
    'answered live, cut off': 'ended',
    'answered live, cut off for all': 'ended',
    'answered ended': 'ended',
    'answered that the cap is reached': 'unasked',
    'answered live to a token past its lifetime': 'unasked',
    'a revocation failed': 'unasked',
  },
  vouched: {
    'answered live': 'vouched',
    'answered live, overtaken by a notice': 'vouched',
    'answered live, asked before a gap': 'vouched',
    'answered live, known to be ended': 'ended',
    'answered live, cut off': 'ended',
    'answered live, cut off for all': 'ended',
    'answered ended': 'ended',
    'answered that the cap is reached': 'unasked',
    'answered live to a token past its lifetime': 'vouched',
    'a revocation failed': 'unvouched',
  },
  unvouched: {
    'answered live': 'vouched',
    'answered live, overtaken by a notice': 'unvouched',
    'answered live, asked before a gap': 'unvouched',
    'answered live, known to be ended': 'ended',
    'answered live, cut off': 'ended',
    'answered live, cut off for all': 'ended',
    'answered ended': 'ended',
    'answered that the cap is reached': 'unasked',
    'answered live to a token past its lifetime': 'unvouched',
    'a revocation failed': 'unvouched',
  },
  ended: {
    'answered live': 'ended',
    'answered live, overtaken by a notice': 'ended',
    'answered live, asked before a gap': 'ended',
    'answered live, known to be ended': 'ended',
    'answered live, cut off': 'ended',
    'answered live, cut off for all': 'ended',
    'answered ended': 'ended',
    'answered that the cap is reached': 'ended',
    'answered live to a token past its lifetime': 'ended',
    'a revocation failed': 'ended',
  },
};

const cells = Object.entries(TRANSITIONS).flatMap(([from, row]) =>
  Object.entries(row).map(([event, to]) => [from as State, event as Event, to] as const),
);

test.each(cells)('%s, %s: %s', (from, event, to) => {
  expect(stateOf(EVENTS[event](STATES[from]))).toBe(to);
});

describe('R1, R2: what an answer is worth', () => {
  test('R1: an answer that a notice overtook leaves the earlier vouch as it was', () => {
    const known = after(STATES.vouched, verdictOn(LIVE), { ...QUESTION, isOvertaken: true });
    expect(known).toMatchObject({ state: 'live', vouch: VOUCH });
  });

  test('R2: an answer from before a gap leaves the earlier vouch as it was', () => {
    const known = after(STATES.vouched, verdictOn(LIVE), { ...QUESTION, generation: GENERATION - 1 });
    expect(known).toMatchObject({ state: 'live', vouch: VOUCH });
  });

  test.each([
    ['a later answer replaces it', { asOf: 600 }, 600],
    ['an earlier answer that comes late does not', { asOf: 400 }, 500],
    ['an answer of the same moment does not', { asOf: 500 }, 500],
    ['an answer that the feed does not cover, and is earlier, does not', { asOf: 400, isCovered: false }, 500],
  ])('%s', (_, asked, asOf) => {
    const known = after(STATES.vouched, verdictOn(LIVE), { ...QUESTION, ...asked });
    expect(known).toMatchObject({ vouch: { asOf } });
  });

  test('an earlier answer that the feed covers replaces a later one that it does not', () => {
    const uncovered: Knowledge = { state: 'live', facts: FACTS, vouch: { ...VOUCH, isCovered: false } };
    expect(after(uncovered, verdictOn(LIVE), { ...QUESTION, asOf: 400 })).toMatchObject({
      vouch: { asOf: 400, isCovered: true },
    });
  });

  test('an answer of this generation replaces one of an earlier generation, whenever that was', () => {
    const old: Knowledge = {
      state: 'live',
      facts: FACTS,
      vouch: { ...VOUCH, generation: GENERATION - 1, asOf: 9_000 },
    };
    expect(after(old, verdictOn(LIVE))).toMatchObject({ vouch: { generation: GENERATION, asOf: 1_000 } });
  });
});

describe('R3, R7: what is known to be ended is refused, whatever the store answers', () => {
  const overtaken = { ...QUESTION, isOvertaken: true, cutoffAt: 0 };
  test.each<[string, KnownEndings, SightQuestion, Verdict['as'], boolean]>([
    ['R7: a tombstone is known, and nothing was announced meanwhile', REMEMBERED, QUESTION, 'remembered', true],
    ['a tombstone that was announced meanwhile', REMEMBERED, overtaken, 'remembered', false],
    ['R7: a cutoff is known', cutoffAt(NOW - MINUTE), QUESTION, 'cut-off', true],
    ['a cutoff that was announced meanwhile', cutoffAt(NOW - MINUTE), overtaken, 'cut-off', false],
    ['the global cutoff, which lies in another slot', globalCutoffAt(NOW - MINUTE), QUESTION, 'cut-off', false],
  ])('%s', (_, ended, question, as, storeLostData) => {
    expect(verdictOn(LIVE, ended, question)).toMatchObject({ as, storeLostData });
    const { effects } = learn(session(STATES.vouched), verdictOn(LIVE, ended, question), question, GENERATION, NOW);
    expect(effects).toEqual(storeLostData ? [{ kind: 'recover' }] : []);
  });

  test.each<[string, KnownEndings, Partial<LiveAnswer>, TokenTimes, SightQuestion, Verdict['as']]>([
    ['the excepted session', cutoffAt(NOW, HANDLE), {}, TIMES, QUESTION, 'live'],
    [
      'a session that survived the cutoff',
      cutoffAt(NOW),
      { startedAt: NOW, survivedCutoffAt: NOW },
      { ...TIMES, beganAt: NOW },
      QUESTION,
      'live',
    ],
    [
      'a token older than the cutoff that the session survived',
      cutoffAt(NOW),
      { survivedCutoffAt: NOW },
      TIMES,
      QUESTION,
      'cut-off',
    ],
    [
      'a session that began in a later second, of a store that lost the cutoff',
      cutoffAt(NOW),
      { startedAt: NOW + 1_000 },
      { ...TIMES, beganAt: NOW + 1_000 },
      QUESTION,
      'live',
    ],
    [
      'a session that began in a later second, first seen before the cutoff was announced',
      cutoffAt(NOW),
      { startedAt: NOW + 1_000 },
      { ...TIMES, beganAt: NOW + 1_000 },
      overtaken,
      'cut-off',
    ],
    [
      'the second of the cutoff, of a store that lost it',
      cutoffAt(NOW),
      { startedAt: NOW },
      { ...TIMES, beganAt: NOW },
      QUESTION,
      'live',
    ],
    [
      'a start before the cutoff that only this token shows',
      cutoffAt(NOW),
      { startedAt: NOW + 10_000, survivedCutoffAt: NOW },
      TIMES,
      QUESTION,
      'cut-off',
    ],
    ['by its first sighting, before the cutoff', cutoffAt(NOW), {}, { ...TIMES, beganAt: null }, QUESTION, 'cut-off'],
    [
      'by its first sighting, after the cutoff that the store lost',
      cutoffAt(NOW),
      { startedAt: NOW + 1_000 },
      { ...TIMES, beganAt: null },
      QUESTION,
      'live',
    ],
    [
      'an end that the token names, though the question did not',
      NOTHING_ENDED,
      {},
      { ...TIMES, sessionEndsAt: NOW - 5_000 },
      QUESTION,
      'outlived',
    ],
    ['an end that the record has', NOTHING_ENDED, { endsAt: NOW - 5_000 }, TIMES, QUESTION, 'outlived'],
    ['a moment before that end', NOTHING_ENDED, { endsAt: NOW - 4_999 }, TIMES, QUESTION, 'live'],
    [
      'the last moment of the global cutoff',
      globalCutoffAt(NOW),
      { startedAt: NOW + 5_000 },
      { ...TIMES, beganAt: NOW + 5_000 },
      QUESTION,
      'cut-off',
    ],
    [
      'just after the global cutoff',
      globalCutoffAt(NOW),
      { startedAt: NOW + 5_001 },
      { ...TIMES, beganAt: NOW + 5_001 },
      QUESTION,
      'live',
    ],
    [
      'by its first sighting, before a global cutoff',
      globalCutoffAt(NOW),
      {},
      { ...TIMES, beganAt: null },
      QUESTION,
      'cut-off',
    ],
  ])('%s: %#', (_, ended, answer, times, question, as) => {
    expect(verdictOn({ ...LIVE, ...answer }, ended, question, { ...TOKEN, times })).toMatchObject({ as });
  });

  test.each<[string, KnownEndings, TokenTimes, boolean]>([
    ['a token from before the cutoff', cutoffAt(NOW), TIMES, true],
    [
      'a token of the second of the cutoff: only the store can tell',
      cutoffAt(NOW + 999),
      { ...TIMES, beganAt: NOW },
      false,
    ],
    ['a token of the second before', cutoffAt(NOW), { ...TIMES, beganAt: NOW - 1 }, true],
    ['a token without iat: only the store can tell', cutoffAt(NOW), { ...TIMES, beganAt: null }, false],
    ['the excepted session', cutoffAt(NOW, HANDLE), TIMES, false],
    [
      'a token up to the tolerance after the global cutoff',
      globalCutoffAt(NOW),
      { ...TIMES, beganAt: NOW + 5_000 },
      true,
    ],
    ['a token later than that', globalCutoffAt(NOW), { ...TIMES, beganAt: NOW + 5_001 }, false],
    ['no cutoff', NOTHING_ENDED, TIMES, false],
  ])('without asking: %s', (_, ended, times, isEnded) => {
    expect(inferEnding(ended, { ...TOKEN, times }, POLICY, NOW) !== null).toBe(isEnded);
  });

  test('what follows from a cutoff has its words, its moment and its origin', () => {
    const inferred = inferEnding(cutoffAt(NOW), TOKEN, POLICY, NOW);
    expect(inferred).toEqual({
      ending: { cause: 'revoked', reason: 'password_changed', by: null, at: NOW, expiresAt: null, origin: 'another' },
      until: NOW + 60 * MINUTE + POLICY.tombstoneFor,
      isByGlobalCutoff: false,
      isKept: true,
    });
  });
});

describe('R4, R5, R6: when memory answers', () => {
  const ENDING_LATER: TokenTimes = { ...TIMES, sessionEndsAt: NOW + 60 * MINUTE };
  const withLifetime = (lifetime: number | null): TokenTimes => ({ ...TIMES, lifetime });
  test.each<[string, KnownSession, TokenTimes, number, Freshness, 'vouched' | 'ask']>([
    ['a vouched session', session(STATES.vouched), TIMES, NOW, fresh(), 'vouched'],
    ['R4: at the bound', session(STATES.vouched), TIMES, NOW, fresh(5_000), 'vouched'],
    ['R4: beyond the bound', session(STATES.vouched), TIMES, NOW, fresh(5_001), 'ask'],
    ['R2: of an earlier generation', session(STATES.vouched), TIMES, NOW, fresh(100, GENERATION + 1), 'ask'],
    ['never asked', session(STATES.unasked), TIMES, NOW, fresh(), 'ask'],
    ['without a vouch', session(STATES.unvouched), TIMES, NOW, fresh(), 'ask'],
    ['ended', session(STATES.ended), TIMES, NOW, fresh(), 'ask'],
    ['R5: an older token', session(STATES.vouched), { ...TIMES, beganAt: FACTS.startedAt - 1 }, NOW, fresh(), 'ask'],
    ['R5: a token as old', session(STATES.vouched), { ...TIMES, beganAt: FACTS.startedAt }, NOW, fresh(), 'vouched'],
    [
      'R5: a token that ends the session earlier',
      session({ ...STATES.vouched, facts: { ...FACTS, endsAt: NOW + MINUTE } }),
      { ...TIMES, sessionEndsAt: NOW + MINUTE - 1 },
      NOW,
      fresh(),
      'ask',
    ],
    [
      'R5: a token that ends the session as early',
      session({ ...STATES.vouched, facts: { ...FACTS, endsAt: NOW + MINUTE } }),
      { ...TIMES, sessionEndsAt: NOW + MINUTE },
      NOW,
      fresh(),
      'vouched',
    ],
    ['R5: the first token that ends the session', session(STATES.vouched), ENDING_LATER, NOW, fresh(), 'ask'],
    [
      'R6: beyond the end of the session',
      session({ ...STATES.vouched, facts: { ...FACTS, endsAt: NOW - 5_000 } }),
      TIMES,
      NOW,
      fresh(),
      'ask',
    ],
    [
      'R6: a moment before the end of the session',
      session({ ...STATES.vouched, facts: { ...FACTS, endsAt: NOW - 4_999 } }),
      TIMES,
      NOW,
      fresh(),
      'vouched',
    ],
    ['R5: a token that shows no start', session(STATES.vouched), { ...TIMES, beganAt: null }, NOW, fresh(), 'vouched'],
    ['R6: idle', session(STATES.vouched), TIMES, NOW + 30 * MINUTE, fresh(), 'ask'],
    ['R6: almost idle', session(STATES.vouched), TIMES, NOW + 30 * MINUTE - 1, fresh(), 'vouched'],
    [
      'R6: lapsed',
      session(STATES.vouched, { lastSeenAt: NOW + 60 * MINUTE }),
      TIMES,
      NOW + 60 * MINUTE + 5_000,
      fresh(),
      'ask',
    ],
    [
      'R6: almost lapsed',
      session(STATES.vouched, { lastSeenAt: NOW + 60 * MINUTE }),
      TIMES,
      NOW + 60 * MINUTE + 4_999,
      fresh(),
      'vouched',
    ],
    [
      'R6: past the lifetime of this token',
      session(STATES.vouched),
      withLifetime(10 * MINUTE),
      NOW + 5_000,
      fresh(),
      'ask',
    ],
    [
      'R6: at the end of its lifetime',
      session(STATES.vouched),
      withLifetime(10 * MINUTE),
      NOW + 4_999,
      fresh(),
      'vouched',
    ],
    [
      'R6: past the lifetime of an earlier token',
      session(STATES.vouched, { token: withLifetime(10 * MINUTE) }),
      TIMES,
      NOW + 5_000,
      fresh(),
      'ask',
    ],
    [
      'without an idle timeout, never idle',
      session(STATES.vouched, {}, { ...POLICY, idleTimeout: null }),
      TIMES,
      NOW + 59 * MINUTE,
      fresh(),
      'vouched',
    ],
  ])('%s: %#', (_, known, token, at, freshness, expected) => {
    expect(assess(known, token, at, freshness)).toBe(expected);
  });
});

describe('R8: a session that the store creates', () => {
  const created = { ...LIVE, created: true, knownClient: true };
  test.each<[string, KnownSession, number, 'recover' | 'started']>([
    ['R8: is on record and in use here: the store lost it', session(STATES.vouched), NOW, 'recover'],
    ['R8: also if nothing vouches for it any more', session(STATES.unvouched), NOW, 'recover'],
    ['was never asked about: it has started', session(STATES.unasked), NOW, 'started'],
    ['was never on record: it has started', session({ ...STATES.vouched, facts: factsOf(TIMES, NOW) }), NOW, 'started'],
    ['had been idle here: it has started again', session(STATES.vouched), NOW + 30 * MINUTE, 'started'],
  ])('%s', (_, known, at, kind) => {
    expect(meaningOfCreated(known, created, at)).toMatchObject({ kind });
    const verdict = { as: 'live', answer: created, staleTokens: null, storeLostData: false } as const;
    expect(learn(known, verdict, QUESTION, GENERATION, at).effects).toMatchObject([{ kind }]);
  });

  test('a session that moved says from where', () => {
    const from = { ip: '203.0.113.7', userAgent: 'curl/8' };
    const verdict = verdictOn({ ...LIVE, moved: from });
    expect(learn(session(STATES.vouched), verdict, QUESTION, GENERATION, NOW).effects).toEqual([
      { kind: 'moved', from },
    ]);
  });
});

describe('the facts', () => {
  const learned = (facts: Partial<typeof FACTS>, answer: Partial<LiveAnswer>, question: Partial<SightQuestion> = {}) =>
    after({ state: 'live', facts: { ...FACTS, ...facts }, vouch: null }, verdictOn({ ...LIVE, ...answer }), {
      ...QUESTION,
      ...question,
    }).facts;

  test('are those of the first answer', () => {
    const answer = { startedAt: NOW - 1, survivedCutoffAt: 7, expiresAt: NOW + 9e9 };
    expect(after(STATES.unasked, verdictOn({ ...LIVE, ...answer })).facts).toMatchObject(answer);
  });

  test.each([
    ['an answer tells more than is known', FACTS.startedAt - 1, NOW + MINUTE, 8],
    ['a late answer, or one of a store that has lost data, tells less', FACTS.startedAt + 1, NOW + 60 * MINUTE, 6],
  ])('are the earliest start and end and the latest cutoff: %s', (_, startedAt, endsAt, survivedCutoffAt) => {
    const known = { endsAt: NOW + 30 * MINUTE, survivedCutoffAt: 7 };
    expect(learned(known, { startedAt, endsAt, survivedCutoffAt })).toMatchObject({
      startedAt: Math.min(startedAt, FACTS.startedAt),
      endsAt: Math.min(endsAt, known.endsAt),
      survivedCutoffAt: Math.max(survivedCutoffAt, 7),
    });
  });

  test('without a lifetime, an end that is known is never taken back', () => {
    expect(learned({}, { expiresAt: NOW }).expiresAt).toBe(FACTS.expiresAt);
  });

  test('with a lifetime, the end is that of the answer', () => {
    expect(learned({}, { expiresAt: NOW }, { token: { ...TIMES, lifetime: MINUTE } }).expiresAt).toBe(NOW);
  });

  test('the end that the answer names counts', () => {
    const endsAt = NOW + MINUTE;
    expect(learned({}, { endsAt, expiresAt: endsAt })).toMatchObject({ endsAt, expiresAt: endsAt });
  });

  test('a session that was on record stays so', () => {
    expect(learned({}, {}, { isTracked: false }).isRecorded).toBe(true);
    expect(learned({ isRecorded: false }, {}, { isTracked: false }).isRecorded).toBe(false);
    expect(learned({ isRecorded: false }, {}).isRecorded).toBe(true);
  });
});

test.each<[Exclude<Verdict, { as: 'live' }>, string]>([
  [{ as: 'ended', tombstone: TOMBSTONE }, 'session_revoked'],
  [{ as: 'ended', tombstone: { ...TOMBSTONE, ending: { ...ENDING, cause: 'expired' } } }, 'session_expired'],
  [{ as: 'ended', tombstone: { ...TOMBSTONE, ending: { ...ENDING, cause: 'idle' } } }, 'session_idle'],
  [{ as: 'remembered', tombstone: TOMBSTONE, storeLostData: true }, 'session_revoked'],
  [
    {
      as: 'cut-off',
      inferred: { ending: ENDING, until: NOW, isByGlobalCutoff: true, isKept: true },
      storeLostData: false,
    },
    'session_revoked',
  ],
  [{ as: 'outlived' }, 'session_expired'],
  [{ as: 'limit' }, 'session_limit'],
  [{ as: 'stale', staleTokens: STALE, storeLostData: false }, 'token_stale'],
])('the refusal of %j is %s', (verdict, code) => {
  expect(refusalOf(verdict, TIMES)).toMatchObject({ code });
});

test.each<[string, Partial<TokenTimes>, Partial<TokenTimes>, number | null, boolean]>([
  ['no end', {}, {}, null, false],
  ['the lifetime by this token', { lifetime: 10 * MINUTE - 5_000 }, {}, null, true],
  ['the lifetime by this token, a moment before', { lifetime: 10 * MINUTE - 4_999 }, {}, null, false],
  ['the lifetime by an earlier token', {}, { lifetime: 10 * MINUTE - 5_000 }, null, true],
  ['session_expiry of this token', { sessionEndsAt: NOW - 5_000 }, {}, null, true],
  ['session_expiry of this token, a moment before', { sessionEndsAt: NOW - 4_999 }, {}, null, false],
  ['session_expiry of an earlier token', { sessionEndsAt: NOW + MINUTE }, {}, NOW - 5_000, true],
])('past its end, if the store cannot be asked: %s', (_, times, earlier, endsAt, isPast) => {
  const known = session({ ...STATES.vouched, facts: { ...FACTS, endsAt } }, { token: { ...TIMES, ...earlier } });
  expect(isPastLifetime(known, { ...TIMES, ...times }, NOW)).toBe(isPast);
});
