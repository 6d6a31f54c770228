import { LoginError, type LoginErrorCode } from '../../lib/core/errors.js';
import { sessionUser } from '../../lib/core/session.js';
import { chooseSession, type ChoiceParts } from '../../lib/http/one-session.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';

/** What a cookie may contain: a token of a session that is live, has ended or cannot be judged, or none that verifies. */
const COOKIES = {
  a1: { session: 'A', expiresAt: 1000 },
  a2: { session: 'A', expiresAt: 2000 },
  old: { session: 'A', expiresAt: 3000, isStale: true },
  b: { session: 'B', expiresAt: 1500 },
  ended: { session: 'C', expiresAt: 1500, refused: 'session_revoked' },
  unjudged: { session: 'D', expiresAt: 1500, refused: 'store_unavailable' },
  expired: { refused: 'token_expired' },
  rubbish: { refused: 'token_malformed' },
  forged: { refused: 'signature_invalid' },
  unverified: { refused: 'keys_unavailable' },
} as const satisfies Record<
  string,
  { readonly session?: string; readonly expiresAt?: number; readonly isStale?: true; readonly refused?: LoginErrorCode }
>;
type Name = keyof typeof COOKIES;
const NAMES = Object.keys(COOKIES) as readonly Name[];

const isName = (text: string): text is Name => Object.hasOwn(COOKIES, text);
const refusal = (code: LoginErrorCode): LoginError => new LoginError(code, 'refused');

function tokenOf(name: Name): VerifiedToken | LoginErrorCode {
  const cookie = COOKIES[name];
  if (!('session' in cookie)) return cookie.refused;
  const { session: handle, expiresAt } = cookie;
  const user = sessionUser('https://id.example.com/', 'ann');
  const times = { expiresAt, beganAt: 0, lifetime: null, sessionEndsAt: null } as VerifiedToken['times'];
  return { user, handle, app: null, actor: null, claims: { name }, profile: {}, scopes: [], times };
}

let peeked: number;

const PARTS: ChoiceParts = {
  verifier: {
    verify(text) {
      const token = isName(text) ? tokenOf(text) : 'token_malformed';
      if (typeof token === 'string') throw refusal(token);
      return token;
    },
  },
  ledger: {
    async peek({ handle, claims }) {
      peeked += 1;
      const cookie = COOKIES[claims['name'] as Name];
      if ('refused' in cookie) throw refusal(cookie.refused);
      return { handle, startedAt: 0, expiresAt: 0 };
    },
    isKnownStale: ({ claims }) => 'isStale' in COOKIES[claims['name'] as Name],
  },
};

async function chosen(names: readonly string[]): Promise<unknown> {
  peeked = 0;
  try {
    return (await chooseSession(names, 0, PARTS)).claims['name'];
  } catch (error) {
    return (error as LoginError).code;
  }
}

test.each<[string, readonly Name[], string, number]>([
  ['an expired one, then a good one', ['expired', 'a1'], 'a1', 0],
  ['a good one, then rubbish', ['a1', 'rubbish'], 'a1', 0],
  ['a planted forgery, then a good one', ['forged', 'a1'], 'a1', 0],
  ['an ended one, then a good one', ['ended', 'a1'], 'a1', 2],
  ['two tokens of one session', ['a1', 'a2'], 'a2', 0],
  ['the same in the other order', ['a2', 'a1'], 'a2', 0],
  ['a stale token and a good one of the session, which expires earlier', ['old', 'a1'], 'a1', 0],
  ['the same in the other order', ['a1', 'old'], 'a1', 0],
  ['nothing but a stale token: the gate refuses it', ['old', 'rubbish'], 'old', 0],
  ['two sessions', ['a1', 'b'], 'token_malformed', 2],
  ['two sessions, of which one has two tokens', ['a1', 'b', 'a2'], 'token_malformed', 2],
  ['two sessions that are live, whatever a third one is', ['a1', 'b', 'unjudged'], 'token_malformed', 3],
  ['a session that cannot be judged', ['a1', 'unjudged'], 'store_unavailable', 2],
  ['a token that cannot be verified', ['a1', 'unverified'], 'keys_unavailable', 0],
  ['nothing but what cannot be told', ['unverified', 'expired'], 'keys_unavailable', 0],
  ['only an ended one verifies: its own refusal says more', ['rubbish', 'ended'], 'ended', 0],
  ['the expired one says more than rubbish', ['rubbish', 'expired'], 'token_expired', 0],
  ['the first of several that say nothing', ['rubbish', 'forged'], 'token_malformed', 0],
  // A sixth would not have been read.
  ['five, although only one is good', ['rubbish', 'forged', 'expired', 'ended', 'a1'], 'token_malformed', 0],
])('%s', async (_what, names, expected, peeks) => {
  expect([await chosen(names), peeked]).toEqual([expected, peeks]);
});

/** The rule once more: from the sets of what was sent. */
function expected(names: readonly Name[]): readonly string[] {
  const has = (...some: readonly Name[]): boolean => some.some((name) => names.includes(name));
  const isA = has('a1', 'a2', 'old');
  const sessions = [isA, has('b'), has('ended'), has('unjudged')].filter(Boolean).length;
  if (isA && has('b')) return ['token_malformed'];
  if (has('unverified')) return ['keys_unavailable', 'store_unavailable'];
  if (sessions > 1 && has('unjudged')) return ['store_unavailable'];
  if (isA) return [has('a2') ? 'a2' : has('a1') ? 'a1' : 'old'];
  if (has('b')) return ['b'];
  // The only candidate: the gate asks for its session later.
  if (sessions === 1) return [has('ended') ? 'ended' : 'unjudged'];
  if (has('expired')) return ['token_expired'];
  return ['token_malformed', 'signature_invalid'];
}

test('every combination of up to four, in every order', async () => {
  const pairs = NAMES.flatMap((one) => NAMES.map((two) => [one, two]));
  const combinations = [...pairs, ...pairs.flatMap((pair) => pairs.map((other) => [...pair, ...other]))];
  const wrong: unknown[] = [];
  for (const names of combinations) {
    const found = await chosen(names);
    if (!expected(names).includes(String(found))) wrong.push([names, found]);
  }
  expect(wrong).toEqual([]);
  expect(combinations).toHaveLength(100 + 10_000);
});

test('what an application throws is no verdict', async () => {
  const failing = { ...PARTS, verifier: { verify: () => Promise.reject(new TypeError('of the application')) } };
  await expect(chooseSession(['a1', 'b'], 0, failing)).rejects.toThrow('of the application');
});
