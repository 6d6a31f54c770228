/** Issuers by function, without a network: when it is called, what comes of its results, and what is held. */

import { createSecretKey } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { tokenRefused } from '../../lib/core/events.js';
import { LoginError } from '../../lib/core/errors.js';
import type { KeyEvent } from '../../lib/tokens/key-source.js';
import { authRocketV1, oidc } from '../../lib/tokens/presets.js';
import { Tenants, type IssuerFunction } from '../../lib/tokens/tenants.js';
import { createVerifier } from '../../lib/tokens/verify.js';
import { ManualClock } from '../support/issuer.js';
import { encode, forge, type Forgery } from './forge.js';

const NOW = 1_700_000_000_000;
const S = NOW / 1000;
const SECRET = 'a secret that nobody may see in a message';
const key = createSecretKey(Buffer.from(SECRET));
const ISS = 'https://acme.id.example.com/';

const claimsOf = (iss: unknown, more: object = {}) => ({
  iss,
  sub: 'ann',
  sid: 's',
  iat: S - 60,
  exp: S + 3600,
  ...more,
});
const token = (iss: unknown, more: object = {}, changes: Partial<Forgery> = {}) =>
  forge({ alg: 'HS256', key, payload: claimsOf(iss, more), ...changes });
const optionsOf = (iss: string) => ({ issuer: iss, secret: SECRET });
const settled = () => new Promise(setImmediate);

let warnings: jest.SpyInstance;
beforeEach(() => {
  warnings = jest.spyOn(process, 'emitWarning').mockReturnValue(undefined);
  jest.useFakeTimers({ now: 0, doNotFake: ['Date', 'performance', 'hrtime', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
  jest.restoreAllMocks();
});

interface Told {
  readonly iss: string;
  readonly kind: KeyEvent['kind'];
  readonly why: string;
}

/** `find` is of any kind: it is the application's. */
function setUp(find: (iss: string) => unknown = optionsOf, tokenClock: { now(): number } = new ManualClock(NOW)) {
  const steady = new ManualClock(0);
  const calls: string[] = [];
  const told: Told[] = [];
  const tenants = new Tenants({
    find: ((iss) => {
      calls.push(iss);
      return find(iss);
    }) as IssuerFunction,
    clock: tokenClock,
    monotonic: () => steady.at,
    onKeyEvent: (iss, event) =>
      told.push({ iss, kind: event.kind, why: event.kind === 'down' ? event.error.message : '' }),
  });
  const verifier = createVerifier({
    issuers: [],
    tenants,
    isExpRequired: true,
    clock: tokenClock,
    lifetime: () => null,
  });

  /** `in` or the code of the refusal. */
  async function outcome(text: string): Promise<string> {
    try {
      const { user } = await verifier.verify(text);
      return `${user.subject} is in`;
    } catch (error) {
      if (error instanceof LoginError) return error.code;
      throw error;
    }
  }
  /** As time passes for the timers and for what is remembered. */
  function pass(milliseconds: number): void {
    steady.advance(milliseconds);
    jest.advanceTimersByTime(milliseconds);
  }
  return { tenants, verifier, calls, told, steady, outcome, pass };
}

/** A promise that the test settles. */
function later() {
  let resolve: (value: unknown) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise((resolvePromise, rejectPromise) => {
    [resolve, reject] = [resolvePromise, rejectPromise];
  });
  return { promise, resolve: (value: unknown) => resolve(value), reject: (reason: unknown) => reject(reason) };
}

describe('what is refused before anybody is asked', () => {
  const [header, payload, signature] = token(ISS).split('.');
  const hour = 3600;

  test.each<[string, string, string]>([
    ['a megabyte', token('x'.repeat(1_000_000)), 'token_too_large'],
    ['two parts', `${header}.${payload}`, 'token_malformed'],
    ['two tokens at once', `${token(ISS)},${token(ISS)}`, 'token_malformed'],
    ['two tokens behind each other', `${token(ISS)}.${token(ISS)}`, 'token_malformed'],
    ['no signature', `${header}.${payload}.`, 'token_malformed'],
    ['a signature with unused bits', `${header}.${payload}.${signature!.slice(0, -1)}B`, 'token_malformed'],
    ['a payload that is a list', token(ISS, {}, { payload: '[]' }), 'token_malformed'],
    ['a payload that is no UTF-8', token(ISS, {}, { payload: Buffer.from([0x7b, 0xff, 0x7d]) }), 'token_malformed'],
    ['crit', token(ISS, {}, { header: { crit: ['exp'] } }), 'token_malformed'],
    ['a kid that is a number', token(ISS, {}, { header: { kid: 7 } }), 'token_malformed'],
    ['alg none', `${encode({ alg: 'none' })}.${payload}.${signature}`, 'algorithm_refused'],
    ['an alg that nobody has', `${encode({ alg: 'HS1' })}.${payload}.${signature}`, 'algorithm_refused'],
    ['a typ that is a number', token(ISS, {}, { header: { typ: 5 } }), 'type_refused'],
    ['a logout token', token(ISS, {}, { header: { typ: 'logout+jwt' } }), 'type_refused'],
    ['a security event', token(ISS, {}, { header: { typ: 'application/SecEvent+JWT' } }), 'type_refused'],
    [
      'a logout token that hides it',
      token(ISS, { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
      'type_refused',
    ],
    ['no iss', token(undefined), 'issuer_refused'],
    ['iss: null', token(null), 'issuer_refused'],
    ['iss: empty', token(''), 'issuer_refused'],
    ['iss: a number', token(5), 'issuer_refused'],
    ['iss: a list', token([ISS]), 'issuer_refused'],
    ['iss: an object', token({ toString: ISS }), 'issuer_refused'],
    ['iss: a lone surrogate', token('https://\ud800.example.com/'), 'issuer_refused'],
    ['iss: 513 characters', token('x'.repeat(513)), 'issuer_refused'],
    ['iss: as long as a token can be', token('x'.repeat(5_000)), 'issuer_refused'],
    ['no exp', token(ISS, { exp: undefined }), 'claim_invalid'],
    ['exp: a text', token(ISS, { exp: String(S + hour) }), 'claim_invalid'],
    ['exp: beyond all dates', token(ISS, {}, { payload: `{"iss":"${ISS}","exp":1e400}` }), 'claim_invalid'],
    ['nbf: a text', token(ISS, { nbf: 'now' }), 'claim_invalid'],
    ['iat: a list', token(ISS, { iat: [S] }), 'claim_invalid'],
    ['exp: past by the largest tolerance', token(ISS, { exp: S - hour }), 'token_expired'],
    ['nbf: ahead by more than that', token(ISS, { nbf: S + hour + 0.001 }), 'token_not_yet_valid'],
    ['iat: ahead by more than that', token(ISS, { iat: S + hour + 0.001 }), 'token_not_yet_valid'],
  ])('%s', async (_, text, code) => {
    const { outcome, calls } = setUp();
    expect(await outcome(text)).toBe(code);
    // And the same where the issuer is known.
    await outcome(token(ISS));
    expect(await outcome(text)).toBe(code);
    expect(calls).toEqual([ISS]);
  });

  test.each([
    ['exp', { exp: S - hour + 0.001 }],
    ['nbf', { nbf: S + hour }],
    ['iat', { iat: S + hour }],
  ])('%s within the largest tolerance is for the issuer to judge', async (_, more) => {
    const { outcome, calls } = setUp((iss) => ({ ...optionsOf(iss), clockTolerance: '1h' }));
    expect(await outcome(token(ISS, more))).toBe('ann is in');
    expect(calls).toEqual([ISS]);
  });

  test('everything, if the clock says nothing', async () => {
    const { outcome, calls } = setUp(optionsOf, { now: () => NaN });
    expect(await outcome(token(ISS))).toBe('token_expired');
    expect(calls).toEqual([]);
  });

  test('exp is for the lifetime to judge, if there is one', async () => {
    const { tenants } = setUp();
    const verifier = createVerifier({ issuers: [], tenants, clock: new ManualClock(NOW), lifetime: () => 60_000 });
    expect(await verifier.verify(token(ISS, { exp: undefined, iat: S }))).toMatchObject({ user: { subject: 'ann' } });
  });
});

describe('one call', () => {
  test('serves all who wait, and then nobody waits', async () => {
    const answer = later();
    const { outcome, verifier, calls, told } = setUp(() => answer.promise);
    const waiting = Array.from({ length: 100 }, (_, index) => outcome(token(ISS, { sub: `user-${index}` })));
    await settled();
    answer.resolve(optionsOf(ISS));
    expect(await Promise.all(waiting)).toEqual(waiting.map((_, index) => `user-${index} is in`));
    const known = verifier.verify(token(ISS, { sub: 'ann' }));
    expect(known).toMatchObject({ user: { issuer: ISS, subject: 'ann' } });
    expect(verifier.verify(token(ISS, { sub: 'ann' }))).toBe(known);
    expect(calls).toEqual([ISS]);
    expect(told).toEqual([]);
    expect(warnings).not.toHaveBeenCalled();
    expect(jest.getTimerCount()).toBe(0);
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty', ' ', 'a\u0000b\n', '💥', 'x'.repeat(512)])(
    'is made with the name as it is: %j',
    async (iss) => {
      const { outcome, calls } = setUp();
      expect(await outcome(token(iss))).toBe('ann is in');
      expect(await outcome(token(iss, { sub: 'bob' }))).toBe('bob is in');
      expect(calls).toEqual([iss]);
    },
  );

  test('of a function that verifies a token of the same issuer ends', async () => {
    const site = setUp((iss) => (site.calls.length > 5 ? null : site.outcome(token(iss)).then(() => optionsOf(iss))));
    const waiting = site.outcome(token(ISS));
    await settled();
    site.pass(5_000);
    expect(await waiting).toBe('keys_unavailable');
    expect(site.calls).toHaveLength(1);
  });

  test('has no keys of another tenant', async () => {
    const other = 'https://other.id.example.com/';
    const { outcome } = setUp((iss) => (iss === ISS ? optionsOf(iss) : { issuer: iss, secret: 'y'.repeat(32) }));
    expect(await outcome(token(ISS))).toBe('ann is in');
    expect(await outcome(token(other))).toBe('signature_invalid');
  });

  test.each<[string, (iss: string) => object, object, string]>([
    ['audience', (iss) => ({ ...optionsOf(iss), audience: 'shop' }), {}, 'audience_refused'],
    ['claims', (iss) => ({ ...optionsOf(iss), claims: { org: 'acme' } }), {}, 'claim_invalid'],
    ['types', (iss) => ({ ...optionsOf(iss), types: ['at+jwt'] }), {}, 'type_refused'],
    ['clockTolerance', (iss) => ({ ...optionsOf(iss), clockTolerance: 0 }), { exp: S }, 'token_expired'],
    ['subject', (iss) => ({ ...optionsOf(iss), subject: 'oid' }), { oid: 'bob' }, 'bob is in'],
  ])('has the option %s heeded', async (_, find, more, expected) => {
    expect(await setUp(find).outcome(token(ISS, more))).toBe(expected);
  });
});

describe('null', () => {
  test('is a refusal, remembered for a minute', async () => {
    const { outcome, calls, told, verifier, steady } = setUp(() => null);
    expect(await outcome(token(ISS))).toBe('issuer_refused');
    steady.advance(59_999);
    expect(await outcome(token(ISS))).toBe('issuer_refused');
    expect(calls).toHaveLength(1);
    let error: unknown;
    try {
      await verifier.verify(token(ISS));
    } catch (caught) {
      error = caught;
    }
    expect(tokenRefused(error as LoginError).diagnosis).toEqual({
      claim: 'iss',
      got: JSON.stringify(ISS),
      expected: 'an issuer that the issuer function knows',
    });
    steady.advance(1);
    expect(await outcome(token(ISS))).toBe('issuer_refused');
    expect(calls).toHaveLength(2);
    expect(told).toEqual([]);
    expect(warnings).not.toHaveBeenCalled();
  });

  test('10,000 of them cost one call each, evict no tenant, and are all that is held', async () => {
    const { outcome, calls } = setUp((iss) => (iss === ISS ? optionsOf(iss) : null));
    const madeUp = (index: number) => token(`https://${index}.example.com/${'x'.repeat(400)}`);
    async function flood(from: number, to: number): Promise<void> {
      const outcomes = new Set<string>();
      for (let index = from; index < to; index += 1) outcomes.add(await outcome(madeUp(index)));
      expect([...outcomes]).toEqual(['issuer_refused']);
    }
    // Emptied, so that the test itself holds no names.
    const callsSince = (): number => calls.splice(0).length;
    expect(await outcome(token(ISS))).toBe('ann is in');
    await flood(0, 10_000);
    await flood(0, 10_000);
    expect(callsSince()).toBe(1 + 10_000);
    const before = usedMemory();
    await flood(10_000, 30_000);
    expect(callsSince()).toBe(20_000);
    expect(usedMemory() - before).toBeLessThan(4_000_000);
    expect(await outcome(token(ISS, { sub: 'bob' }))).toBe('bob is in');
    expect(callsSince()).toBe(0);
    await flood(0, 1);
    expect(callsSince()).toBe(1);
  });
});

const unreadable = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

const explosive = (name: string) =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new Error('a getter that throws');
    },
  });

const THROWN: readonly (readonly [string, unknown, RegExp])[] = [
  ['an error', new Error('no database'), /^The issuer function failed: no database$/],
  ['an error with a token', new Error(`bad ${token(ISS)}`), /^The issuer function failed: bad \(a token\)$/],
  ['undefined', undefined, /failed with undefined in place of an error$/],
  ['null', null, /failed with null in place of an error$/],
  ["'route'", 'route', /failed with a string in place of an error$/],
  ['an object without prototype', Object.create(null), /failed with an object in place of an error$/],
  ['a proxy that was revoked', unreadable(), /failed with something that cannot be read$/],
  ['a message that throws', explosive('message'), /failed with something that cannot be read$/],
  ['a refusal of ours', new LoginError('issuer_refused', 'no'), /^The issuer function failed: no$/],
];

const RESULTS: readonly (readonly [string, (iss: string) => unknown, RegExp])[] = [
  ['undefined', () => undefined, /returned undefined: return null for an issuer that you do not know$/],
  ['true', () => true, /returned a boolean$/],
  ['a string', (iss) => iss, /returned a string$/],
  ['a list', (iss) => [optionsOf(iss)], /returned a list$/],
  ['a function', () => optionsOf, /returned a function$/],
  ['a proxy that was revoked', unreadable, /failed/],
  ['a getter that throws', (iss) => Object.assign(explosive('audience'), optionsOf(iss)), /options: a getter/],
  ['nothing', () => ({}), /returned another issuer: nothing, not "https:\/\/acme/],
  ['another issuer', () => optionsOf('https://evil.example/'), /another issuer: "https:\/\/evil.example\/", not/],
  ['an issuer without the slash', (iss) => optionsOf(iss.slice(0, -1)), /another issuer: "https:\/\/acme.*", not/],
  ['a String', (iss) => ({ issuer: Object(iss), secret: SECRET }), /another issuer: an object, not/],
  ['withoutIssuer', (iss) => ({ ...optionsOf(iss), withoutIssuer: true }), /with withoutIssuer/],
  ['withoutIssuer: 1', (iss) => ({ ...optionsOf(iss), withoutIssuer: 1 }), /with withoutIssuer/],
  ['authRocketV1()', () => authRocketV1({ secret: SECRET }), /with withoutIssuer/],
  ['a wrong call of oidc()', () => oidc({ issuer: 'nonsense', audience: 'shop' }), /failed: oidc\(\): issuer must be/],
  ['no keys', (iss) => ({ issuer: iss }), /invalid options: issuer must have exactly one of jwksUri/],
  ['two keys', (iss) => ({ ...optionsOf(iss), jwksUri: 'https://x.example/' }), /invalid options: .*exactly one of/],
  ['a short secret', (iss) => ({ issuer: iss, secret: 'hunter2' }), /options: issuer\.secret has 7 bytes/],
  ['a misspelt option', (iss) => ({ ...optionsOf(iss), audiense: 'x' }), /options: .*did you mean audience\?/],
  ['audience: undefined', (iss) => ({ ...optionsOf(iss), audience: undefined }), /audience is given as undefined/],
  ['clockTolerance: a day', (iss) => ({ ...optionsOf(iss), clockTolerance: '1d' }), /clockTolerance must be between/],
];

const THENABLES: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['that rejects', () => ({ then: (_: unknown, no: (reason: unknown) => void) => no('router') }), /with a string/],
  ['whose then throws', () => explosive('then'), /failed: a getter that throws$/],
  ['that never calls', () => ({ then: () => undefined }), /within 5 s$/],
  ['of a thenable of undefined', () => thenable(thenable(undefined)), /returned undefined/],
];
const thenable = (value: unknown) => ({ then: (yes: (value: unknown) => void) => yes(value) });

const FAILURES = [
  ...THROWN.map(([name, reason, why]): [string, (iss: string) => unknown, RegExp] => [
    `throws ${name}`,
    () => {
      throw reason;
    },
    why,
  ]),
  ...THROWN.map(([name, reason, why]): [string, (iss: string) => unknown, RegExp] => [
    `rejects with ${name}`,
    async () => {
      throw reason;
    },
    why,
  ]),
  ...RESULTS.map(([name, find, why]): [string, (iss: string) => unknown, RegExp] => [`returns ${name}`, find, why]),
  ...RESULTS.map(([name, find, why]): [string, (iss: string) => unknown, RegExp] => [
    `resolves with ${name}`,
    async (iss) => find(iss),
    why,
  ]),
  ...THENABLES.map(([name, find, why]): [string, (iss: string) => unknown, RegExp] => [
    `returns a thenable ${name}`,
    find,
    why,
  ]),
  ['never settles', () => new Promise(() => undefined), /gave no result within 5 s$/] as const,
] as const;

describe('a function that', () => {
  test.each(FAILURES)('%s: cannot tell, for a second, and says why once', async (name, find, why) => {
    const iss = `https://acme.example.com/${encodeURIComponent(name)}`;
    let isWorking = false;
    const { outcome, calls, told, pass, steady } = setUp((asked) => (isWorking ? optionsOf(asked) : find(asked)));
    async function failing(): Promise<void> {
      const waiting = [outcome(token(iss)), outcome(token(iss))];
      await settled();
      pass(5_000);
      expect(await Promise.all(waiting)).toEqual(['keys_unavailable', 'keys_unavailable']);
    }
    const started = steady.at;
    await failing();
    expect(calls).toHaveLength(1);
    // It failed at once, or when its time was up.
    const failedAt = why.source.includes('within') ? steady.at : started;
    steady.at = failedAt + 999;
    expect(await outcome(token(iss))).toBe('keys_unavailable');
    expect(calls).toHaveLength(1);
    steady.at = failedAt + 1_000;
    await failing();
    expect(calls).toHaveLength(2);
    expect(told).toEqual([{ iss, kind: 'down', why: expect.stringMatching(why) }]);
    expect(warnings.mock.calls).toEqual([
      [
        expect.stringMatching(/^The issuer function .*asked for the issuer https:\/\/acme/),
        { type: 'ManagedSessionsWarning', code: 'MANAGED_SESSIONS_KEYS_DOWN' },
      ],
    ]);
    expect(JSON.stringify([told, warnings.mock.calls])).not.toMatch(/hunter2|nobody may see|eyJ/);

    isWorking = true;
    steady.advance(1_000);
    expect(await outcome(token(iss))).toBe('ann is in');
    expect(told.slice(1)).toEqual([{ iss, kind: 'up', why: '' }]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('returns a thenable that resolves twice, or throws afterwards, has resolved', async () => {
    const { outcome } = setUp((iss) => ({
      then(yes: (value: unknown) => void) {
        yes(optionsOf(iss));
        yes(null);
        throw new Error('too late');
      },
    }));
    expect(await outcome(token(ISS))).toBe('ann is in');
  });

  test('fails for made-up names is called once each, and warned of a bounded number of times', async () => {
    const { outcome, calls, told } = setUp(() => undefined);
    for (let index = 0; index < 1_000; index += 1) {
      for (const sub of ['ann', 'bob']) {
        expect(await outcome(token(`https://made.up/${index}`, { sub }))).toBe('keys_unavailable');
      }
    }
    expect(calls).toHaveLength(1_000);
    expect(told).toHaveLength(1_000);
    expect(warnings.mock.calls.length).toBeLessThanOrEqual(100);
  });
});

describe('a result that comes too late', () => {
  function slow() {
    const answers: ReturnType<typeof later>[] = [];
    const site = setUp(() => {
      const answer = later();
      answers.push(answer);
      return answer.promise;
    });
    async function timedOut(): Promise<void> {
      const waiting = site.outcome(token(ISS));
      site.pass(5_000);
      expect(await waiting).toBe('keys_unavailable');
    }
    return { ...site, answers, timedOut };
  }

  test('is kept, and who asks now gets in at once', async () => {
    const { answers, timedOut, verifier, calls, told } = slow();
    await timedOut();
    answers[0]!.resolve(optionsOf(ISS));
    await settled();
    expect(verifier.verify(token(ISS))).toMatchObject({ user: { subject: 'ann' } });
    expect(calls).toHaveLength(1);
    expect(told.map(({ kind }) => kind)).toEqual(['down', 'up']);
  });

  test('lets those in who wait for a later call, which is not heeded any more', async () => {
    const { answers, timedOut, pass, outcome, calls } = slow();
    await timedOut();
    pass(1_000);
    const waiting = outcome(token(ISS));
    answers[0]!.resolve(optionsOf(ISS));
    expect(await waiting).toBe('ann is in');
    answers[1]!.resolve(null);
    await settled();
    expect(await outcome(token(ISS))).toBe('ann is in');
    expect(calls).toHaveLength(2);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('does not undo what a later call refused', async () => {
    const { answers, timedOut, pass, outcome } = slow();
    await timedOut();
    pass(1_000);
    const waiting = outcome(token(ISS));
    answers[1]!.resolve(null);
    expect(await waiting).toBe('issuer_refused');
    answers[0]!.resolve(optionsOf(ISS));
    await settled();
    expect(await outcome(token(ISS))).toBe('issuer_refused');
  });

  test('does not undo it either when that is forgotten', async () => {
    const { answers, timedOut, pass, outcome, calls } = slow();
    await timedOut();
    pass(1_000);
    const waiting = outcome(token(ISS));
    answers[1]!.resolve(null);
    expect(await waiting).toBe('issuer_refused');
    pass(60_000);
    answers[0]!.resolve(optionsOf(ISS));
    await settled();
    void outcome(token(ISS));
    expect(calls).toHaveLength(3);
  });

  test('null is remembered, unless a later call is under way', async () => {
    const { answers, timedOut, pass, outcome, calls } = slow();
    await timedOut();
    pass(1_000);
    const waiting = outcome(token(ISS));
    answers[0]!.resolve(null);
    await settled();
    answers[1]!.resolve(optionsOf(ISS));
    expect(await waiting).toBe('ann is in');

    const other = slow();
    await other.timedOut();
    other.answers[0]!.resolve(null);
    await settled();
    expect(await other.outcome(token(ISS))).toBe('issuer_refused');
    expect([calls.length, other.calls.length]).toEqual([2, 1]);
  });

  test.each([
    ['rubbish', (answer: ReturnType<typeof later>) => answer.resolve(undefined)],
    ['an error', (answer: ReturnType<typeof later>) => answer.reject(new Error('late'))],
  ])('%s does not refuse those who wait for a later call', async (_, settle) => {
    const { answers, timedOut, pass, outcome } = slow();
    await timedOut();
    pass(1_000);
    const waiting = outcome(token(ISS));
    settle(answers[0]!);
    await settled();
    answers[1]!.resolve(optionsOf(ISS));
    expect(await waiting).toBe('ann is in');
  });

  test.each([
    ['a rejection', (answer: ReturnType<typeof later>) => answer.reject(new Error('late'))],
    ['a rejection with nothing', (answer: ReturnType<typeof later>) => answer.reject(undefined)],
    ['rubbish', (answer: ReturnType<typeof later>) => answer.resolve({ issuer: ISS })],
  ])('%s is of no interest', async (_, settle) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const { answers, timedOut, told } = slow();
    await timedOut();
    settle(answers[0]!);
    await settled();
    await settled();
    process.off('unhandledRejection', note);
    expect(told.map(({ kind }) => kind)).toEqual(['down']);
    expect(unhandled).toEqual([]);
  });
});

describe('tenants', () => {
  const tenant = (index: number) => `https://${index}.id.example.com/`;

  test('a thousand are held, and the one that was not asked for longest is evicted', async () => {
    const { outcome, calls } = setUp();
    for (let index = 0; index < 1_000; index += 1) await outcome(token(tenant(index)));
    await outcome(token(tenant(0), { sub: 'bob' }));
    await outcome(token(tenant(1_000)));
    expect(calls).toHaveLength(1_001);
    expect(await outcome(token(tenant(0), { sub: 'eve' }))).toBe('eve is in');
    expect(calls).toHaveLength(1_001);
    expect(await outcome(token(tenant(1), { sub: 'eve' }))).toBe('eve is in');
    expect(calls.slice(1_001)).toEqual([tenant(1)]);
  });

  test('that was evicted vouches for no token: a verified one is verified again', async () => {
    let secret = SECRET;
    const { outcome, verifier, calls } = setUp((iss) => ({ issuer: iss, secret }));
    const text = token(tenant(0));
    const first = await verifier.verify(text);
    expect(verifier.verify(text)).toBe(first);
    for (let index = 1; index <= 1_000; index += 1) await outcome(token(tenant(index)));
    const again = verifier.verify(text);
    expect(again).toBeInstanceOf(Promise);
    expect(await again).toEqual(first);
    expect(calls).toHaveLength(1_002);
    for (let index = 1; index <= 1_000; index += 1) await outcome(token(tenant(index), { sub: 'bob' }));
    secret = 'z'.repeat(32);
    expect(await outcome(text)).toBe('signature_invalid');
  });

  test('more than are held, all at once, get in', async () => {
    const { outcome, calls } = setUp();
    const all = Array.from({ length: 2_500 }, (_, index) => outcome(token(tenant(index))));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['ann is in']));
    expect(calls).toHaveLength(2_500);
  });

  test('are what the function returned, whatever becomes of its object', async () => {
    const template: Record<string, unknown> & { claims: Record<string, unknown> } = {
      audience: ['shop'],
      types: ['JWT', null],
      algorithms: ['HS256'],
      claims: { org: ['acme'] },
    };
    const { outcome } = setUp((iss) => Object.assign(template, optionsOf(iss)));
    const good = { aud: 'shop', org: 'acme' };
    expect(await outcome(token(ISS, good))).toBe('ann is in');
    for (const list of [template['audience'], template['types'], template['algorithms'], template.claims['org']]) {
      (list as unknown[]).splice(0, 1, 'evil');
    }
    template.claims['admin'] = true;
    Object.assign(template, { issuer: 'https://evil.example/', secret: 'e'.repeat(32), withoutIssuer: true });
    expect(await outcome(token(ISS, { ...good, sub: 'bob' }))).toBe('bob is in');
    expect(await outcome(token(ISS, { ...good, sub: 'eve', aud: 'evil' }))).toBe('audience_refused');
    expect(await outcome(token(ISS, { ...good, sub: 'eve', org: 'evil' }))).toBe('claim_invalid');
  });
});

describe('health', () => {
  const ok = { ok: true, lastError: null };

  test('before anybody was asked for', () => {
    expect(setUp().tenants.health()).toEqual({ ...ok, age: Infinity });
  });

  test('is not ok while the function fails and nobody is known, and then lets requests try', async () => {
    let fails = true;
    const { tenants, outcome, steady } = setUp((iss) => (fails ? Promise.reject(new Error('away')) : optionsOf(iss)));
    await outcome(token(ISS));
    expect(tenants.health()).toMatchObject({ ok: false, age: Infinity, lastError: { message: /away/ } });
    steady.advance(29_999);
    expect(tenants.health().ok).toBe(false);
    steady.advance(1);
    expect(tenants.health()).toMatchObject({ ok: true, lastError: expect.any(Error) });
    fails = false;
    await outcome(token(ISS));
    steady.advance(7);
    expect(tenants.health()).toEqual({ ...ok, age: 7 });
  });

  test('stays ok, whatever names are made up, and if one tenant has invalid options', async () => {
    const { tenants, outcome } = setUp((iss) => {
      if (iss === ISS) return optionsOf(iss);
      if (iss === 'broken') return { issuer: iss };
      return new URL(iss).hostname === 'id.example.com' ? optionsOf(iss) : null;
    });
    expect(await outcome(token('broken'))).toBe('keys_unavailable');
    expect(tenants.health()).toMatchObject(ok);
    await outcome(token(ISS));
    expect(await outcome(token('no URL at all'))).toBe('keys_unavailable');
    expect(tenants.health()).toMatchObject({ ok: true, lastError: { message: /Invalid URL/ } });
    expect(await outcome(token('https://made.up/'))).toBe('issuer_refused');
    expect(tenants.health()).toMatchObject(ok);
  });
});

describe('close()', () => {
  test('ends what waits, keeps whom it knows, and finds nobody new, nor later', async () => {
    const answer = later();
    const { tenants, outcome, calls, told } = setUp((iss) => (iss === ISS ? optionsOf(iss) : answer.promise));
    await outcome(token(ISS));
    const waiting = outcome(token('https://slow.example/'));
    tenants.close();
    expect(jest.getTimerCount()).toBe(0);
    expect(await waiting).toBe('keys_unavailable');
    const touched: string[] = [];
    answer.resolve(
      new Proxy(optionsOf('https://slow.example/'), {
        get: (target, name) => {
          if (name !== 'then') touched.push(String(name));
          return Reflect.get(target, name) as unknown;
        },
      }),
    );
    await settled();
    expect(touched).toEqual([]);
    expect(await outcome(token('https://slow.example/'))).toBe('keys_unavailable');
    expect(await outcome(token('https://new.example/'))).toBe('keys_unavailable');
    expect(await outcome(token(ISS, { sub: 'bob' }))).toBe('bob is in');
    expect(calls).toHaveLength(2);
    expect(told).toEqual([]);
    expect(tenants.health().ok).toBe(false);
    tenants.close();
  });
});

function usedMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
  return process.memoryUsage().heapUsed;
}
