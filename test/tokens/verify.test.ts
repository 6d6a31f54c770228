import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LoginError } from '../../lib/core/errors.js';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import type { KeySource } from '../../lib/tokens/key-source.js';
import { staticKeys } from '../../lib/tokens/static-keys.js';
import type { VerificationKey } from '../../lib/tokens/verification-key.js';
import type { CacheBounds } from '../../lib/tokens/token-cache.js';
import { createVerifier, type IssuerRules, type VerifierOptions } from '../../lib/tokens/verify.js';
import { forge } from './forge.js';

const NOW = 1_700_000_000_000;
const S = NOW / 1000;
const MINUTE = 60_000;
const ISSUER = 'https://id.example.com/';
const secret = createSecretKey(Buffer.alloc(32, 1));
const claims = { iss: ISSUER, sub: 'usr_1', sid: 'kss_1', iat: S - 60, exp: S + 3600 };
const token = (changes: object = {}, key = secret) => forge({ alg: 'HS256', key, payload: { ...claims, ...changes } });
const codeIs = (code: string) => expect.objectContaining({ name: 'LoginError', code });
const keyOf = (key: KeyObject): VerificationKey => ({ key, kid: undefined, algorithms: ['HS256'] });

/** A source of which the test holds the keys, and which counts what it is asked. */
class TestKeys implements KeySource {
  readonly asked: unknown[] = [];
  held: readonly VerificationKey[] = [keyOf(secret)];
  answer: (held: readonly VerificationKey[]) => ReturnType<KeySource['candidates']> = (held) => held;

  candidates(header: unknown) {
    this.asked.push(header);
    return this.answer(this.held);
  }
  holds(key: VerificationKey) {
    return this.held.includes(key);
  }
  health() {
    return { ok: true, age: 0, lastError: null };
  }
  close() {
    this.held = [];
  }
}

function setUp(changes: Partial<IssuerRules> = {}, options: Partial<VerifierOptions> = {}) {
  const keys = new TestKeys();
  const clock = { at: NOW, now: () => clock.at };
  const issuer: IssuerRules = { issuer: ISSUER, clockTolerance: 5000, keys, ...changes };
  const verifier = createVerifier({ issuers: [issuer], clock, lifetime: () => null, ...options });
  return { keys, clock, verify: (text: string) => verifier.verify(text) };
}

describe('a verified token', () => {
  test('says who, which session, what, and until when', () => {
    const payload = {
      ...claims,
      iat: S - 10,
      name: 'Ann',
      email: 'ann@example.com',
      scope: 'a b',
      more: [{ deep: true }],
    };
    const user = sessionUser(ISSUER, 'usr_1');
    expect(setUp().verify(forge({ alg: 'HS256', key: secret, payload }))).toStrictEqual({
      user,
      handle: sessionHandle(user, 'kss_1'),
      app: null,
      actor: null,
      claims: payload,
      profile: { name: 'Ann', email: 'ann@example.com' },
      scopes: ['a', 'b'],
      times: {
        beganAt: NOW - 10_000,
        issuedAt: NOW - 10_000,
        expiresAt: NOW + 3_600_000,
        lifetime: null,
        sessionEndsAt: null,
      },
      // Without the option sessionIndex.
      indexId: undefined,
    });
  });

  test.each<[string, object, string | null, string | null]>([
    ['client_id', { client_id: 'Acme CLI' }, 'Acme CLI', null],
    ['azp', { azp: 'web' }, 'web', null],
    ['client_id before azp', { client_id: 'cli', azp: 'web' }, 'cli', null],
    ['azp if client_id is empty, or not a string', { client_id: '', azp: 'web' }, 'web', null],
    ['azp if client_id is a number', { client_id: 7, azp: 'web' }, 'web', null],
    ['neither, if both are something else', { client_id: ['cli'], azp: { id: 'web' } }, null, null],
    ['act.sub', { act: { sub: 'assistant' } }, null, 'assistant'],
    ['the outermost act.sub', { act: { sub: 'b', act: { sub: 'a' } } }, null, 'b'],
    ['no nested act alone', { act: { act: { sub: 'a' } } }, null, null],
    ['no act that is a string', { act: 'assistant' }, null, null],
    ['no act that is a list', { act: [{ sub: 'assistant' }] }, null, null],
    ['no act.sub that is a number, or null', { act: { sub: 7 } }, null, null],
    ['no inherited name', { act: { client_id: 'x' }, azp: null }, null, null],
    ['one line of well-formed text', { client_id: 'a\nb\ud800', act: { sub: '\u0000' } }, 'a b\ufffd', ' '],
    [
      'at most 255 characters',
      { azp: 'x'.repeat(256), act: { sub: 'y'.repeat(300) } },
      'x'.repeat(255),
      'y'.repeat(255),
    ],
  ])('names its app and actor: %s', (_name, changes, app, actor) => {
    expect(setUp().verify(token(changes))).toMatchObject({ app, actor });
  });

  test('is frozen to its depths', () => {
    const thawed: unknown[] = [];
    const pending: unknown[] = [setUp().verify(token({ scope: 'a', orgs: [{ perm: ['x'], nested: { more: [{}] } }] }))];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (typeof next !== 'object' || next === null) continue;
      if (!Object.isFrozen(next)) thawed.push(next);
      pending.push(...Object.values(next));
    }
    expect(thawed).toEqual([]);
  });

  test('of one session has one handle, however often it is refreshed', async () => {
    const { verify } = setUp();
    const { handle } = await verify(token());
    expect(verify(token({ exp: S + 7200 }))).toMatchObject({ handle });
    expect(verify(token({ sid: 'kss_2' }))).not.toMatchObject({ handle });
  });

  test('that names no session is one by itself, the same in every process', async () => {
    const { handle } = await setUp().verify(token({ sid: undefined }));
    expect(setUp().verify(token({ sid: undefined }))).toMatchObject({ handle });
    expect(setUp().verify(token({ sid: undefined, exp: S + 7200 }))).not.toMatchObject({ handle });
  });

  test('has the lifetime that its claims are given', () => {
    const lifetime = (given: Readonly<Record<string, unknown>>) =>
      Object.isFrozen(given) && given['remember'] === true ? 1000 : null;
    const { verify } = setUp({}, { lifetime });
    expect(verify(token({ remember: true, iat: S, exp: undefined }))).toMatchObject({
      times: { lifetime: 1000, expiresAt: null },
    });
    expect(verify(token())).toMatchObject({ times: { lifetime: null } });
    expect(() => verify(token({ exp: undefined }))).toThrow(codeIs('claim_invalid'));
  });
});

describe('issuers', () => {
  const theirSecret = createSecretKey(Buffer.alloc(64, 2));
  const { verify } = createTwo();

  function createTwo() {
    const ours = { issuer: ISSUER, clockTolerance: 0, keys: staticKeys({ secret }, 'issuer') };
    const v1 = {
      issuer: 'authrocket',
      withoutIssuer: true,
      subject: 'uid',
      clockTolerance: 0,
      keys: staticKeys({ secret: theirSecret, algorithms: ['HS256', 'HS512'] }, 'issuer'),
      algorithms: ['HS512'] as const,
    };
    return createVerifier({ issuers: [ours, v1], clock: { now: () => NOW }, lifetime: () => null });
  }
  const withoutIssuer = (alg: 'HS256' | 'HS512', key = theirSecret, more = {}) =>
    forge({ alg, key, payload: { uid: 'usr_9', tk: 't', iat: S - 60, exp: S + 60, ...more } });

  test('iss selects', () => {
    expect(verify(token())).toMatchObject({ user: { issuer: ISSUER, subject: 'usr_1' } });
  });

  test('none selects the issuer whose tokens have none', () => {
    const user = { issuer: 'authrocket', subject: 'usr_9' };
    expect(verify(withoutIssuer('HS512'))).toMatchObject({ user });
  });

  test.each([
    ['an issuer’s name in place of iss', withoutIssuer('HS512', theirSecret, { iss: 'authrocket' }), 'issuer_refused'],
    ['undefined, spelled out', withoutIssuer('HS512', theirSecret, { iss: 'undefined' }), 'issuer_refused'],
    ['the keys of another issuer', withoutIssuer('HS512', secret), 'signature_invalid'],
    ['the keys of another issuer, the other way', token({}, theirSecret), 'signature_invalid'],
    ['an algorithm that the key serves but the issuer not', withoutIssuer('HS256'), 'algorithm_refused'],
  ])('refused: %s', (_, text, code) => {
    expect(() => verify(text)).toThrow(codeIs(code));
  });

  test.each([
    ['two of one name', [{ issuer: ISSUER }, { issuer: ISSUER }]],
    [
      'two without a name in their tokens',
      [
        { issuer: 'a', withoutIssuer: true },
        { issuer: 'b', withoutIssuer: true },
      ],
    ],
    ['one that is called what another says', [{ issuer: ISSUER }, { issuer: ISSUER, withoutIssuer: true }]],
  ])('a mistake at construction: %s', (_, issuers) => {
    const rules = issuers.map((issuer) => ({ clockTolerance: 0, keys: new TestKeys(), ...issuer }));
    expect(() => createVerifier({ issuers: rules, clock: Date, lifetime: () => null })).toThrow(TypeError);
  });
});

describe('keys', () => {
  test('are asked for by kid and alg alone', () => {
    const { keys, verify } = setUp();
    void verify(
      forge({ alg: 'HS256', key: secret, header: { kid: 'key-1', jku: 'http://127.0.0.1:9' }, payload: claims }),
    );
    void verify(token());
    expect(keys.asked).toEqual([
      { kid: 'key-1', alg: 'HS256' },
      { kid: undefined, alg: 'HS256' },
    ]);
  });

  test('any of several may be the one', () => {
    const { keys, verify } = setUp();
    keys.held = [keyOf(createSecretKey(Buffer.alloc(32, 5))), keyOf(secret)];
    expect(verify(token())).toMatchObject({ user: { subject: 'usr_1' } });
  });

  test('serve only what they say, whatever the source answers', () => {
    const { keys, verify } = setUp();
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = createSecretKey(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })));
    keys.held = [{ key: publicKey, kid: undefined, algorithms: ['RS256'] }];
    expect(() => verify(token({}, pem))).toThrow(codeIs('algorithm_refused'));
    keys.held = [{ key: publicKey, kid: undefined, algorithms: ['HS256'] }];
    expect(() => verify(token({}, pem))).toThrow(codeIs('signature_invalid'));
  });

  test.each(['key_unknown', 'algorithm_refused', 'keys_unavailable'] as const)(
    'what the source says goes out: %s',
    async (code) => {
      const { keys, verify } = setUp();
      const error = new LoginError(code, 'so it is');
      keys.answer = () => {
        throw error;
      };
      expect(() => verify(token())).toThrow(error);
      keys.answer = () => Promise.reject(error);
      await expect(verify(token())).rejects.toBe(error);
    },
  );

  test('that must be fetched make a promise, and all who wait get the same', async () => {
    const { keys, verify } = setUp();
    const fetched = later<readonly VerificationKey[]>();
    keys.answer = () => fetched.promise;
    const [first, second, expired] = [verify(token()), verify(token()), verify(token({ exp: S - 60 }))];
    for (const waiting of [first, second, expired]) expect(waiting).toBeInstanceOf(Promise);
    fetched.resolve(keys.held);
    await expect(first).resolves.toMatchObject({ user: { subject: 'usr_1' } });
    await expect(second).resolves.toEqual(await first);
    await expect(expired).rejects.toEqual(codeIs('token_expired'));
    expect(verify(token())).not.toBeInstanceOf(Promise);
  });

  test('that come too late find the token expired', async () => {
    const { keys, clock, verify } = setUp();
    const fetched = later<readonly VerificationKey[]>();
    keys.answer = () => fetched.promise;
    const waiting = verify(token({ exp: S + 1 }));
    clock.at += 6000;
    fetched.resolve(keys.held);
    await expect(waiting).rejects.toEqual(codeIs('token_expired'));
  });
});

describe('the cache', () => {
  test('answers with the same object, and asks for no key', () => {
    const { keys, clock, verify } = setUp();
    const first = verify(token());
    clock.at += MINUTE - 1;
    expect(verify(Buffer.from(token()).toString())).toBe(first);
    expect(keys.asked).toHaveLength(1);
  });

  test('holds a token for a minute', () => {
    const { keys, clock, verify } = setUp();
    const first = verify(token());
    clock.at += MINUTE;
    expect(verify(token())).toEqual(first);
    expect(keys.asked).toHaveLength(2);
    clock.at += MINUTE - 1;
    void verify(token());
    expect(keys.asked).toHaveLength(2);
  });

  test('lets go of a token when it expires, to the millisecond', () => {
    const { clock, verify } = setUp();
    const text = token({ exp: S + 10 });
    void verify(text);
    clock.at = NOW + 14_999;
    expect(verify(text)).toMatchObject({ user: { subject: 'usr_1' } });
    clock.at = NOW + 15_000;
    expect(() => verify(text)).toThrow(codeIs('token_expired'));
  });

  test('lets go of a token when its lifetime ends', () => {
    const { clock, verify } = setUp({}, { lifetime: () => 10_000 });
    const text = token({ iat: S });
    void verify(text);
    clock.at = NOW + 15_000;
    expect(() => verify(text)).toThrow(codeIs('session_expired'));
  });

  test('lets go of a token when its key is no longer held', () => {
    const { keys, verify } = setUp();
    void verify(token());
    keys.held = [keyOf(createSecretKey(Buffer.alloc(32, 5)))];
    expect(() => verify(token())).toThrow(codeIs('signature_invalid'));
  });

  test('looks anew when the clock went back', () => {
    const { keys, clock, verify } = setUp();
    const text = token({ nbf: S });
    void verify(text);
    clock.at -= 1;
    void verify(text);
    expect(keys.asked).toHaveLength(2);
    clock.at -= 10_000;
    expect(() => verify(text)).toThrow(codeIs('token_not_yet_valid'));
  });

  test('knows a token by all of it, not by its end', () => {
    const { verify } = setUp();
    void verify(token());
    const [header, , signature] = token().split('.');
    const other = Buffer.from(JSON.stringify({ ...claims, sub: 'admin' })).toString('base64url');
    expect(() => verify(`${header}.${other}.${signature}`)).toThrow(codeIs('signature_invalid'));
    expect(() => verify(`x${token()}`)).toThrow(codeIs('token_malformed'));
    expect(() => verify(token().slice(-12))).toThrow(codeIs('token_malformed'));
  });

  test('keeps no refusal', () => {
    const { keys, clock, verify } = setUp();
    const early = token({ nbf: S + 60 });
    expect(() => verify(early)).toThrow(codeIs('token_not_yet_valid'));
    clock.at += MINUTE;
    expect(verify(early)).toMatchObject({ user: { subject: 'usr_1' } });

    const text = token();
    keys.held = [keyOf(createSecretKey(Buffer.alloc(32, 5)))];
    expect(() => verify(text)).toThrow(codeIs('signature_invalid'));
    keys.held = [keyOf(secret)];
    expect(verify(text)).toMatchObject({ user: { subject: 'usr_1' } });
  });

  const text = (index: number) => token({ sid: `kss_${index}` });
  /** How many of the tokens must be verified anew, the last first. */
  const forgotten = (cache: CacheBounds, count: number) => {
    const { keys, verify } = setUp({}, { cache });
    for (let index = 0; index < count; index++) void verify(text(index));
    for (let index = count - 1; index >= 0; index--) void verify(text(index));
    return keys.asked.length - count;
  };

  test('is bounded in entries', () => {
    expect(forgotten({ maxEntries: 20 }, 20)).toBe(0);
    expect(forgotten({ maxEntries: 20 }, 50)).toBe(30);
  });

  test('is bounded in bytes', () => {
    expect(forgotten({ maxBytes: 1_000_000 }, 50)).toBe(0);
    expect(forgotten({ maxBytes: 10_000 }, 50)).toBeGreaterThan(40);
  });

  test('forgets what was not asked for longest', () => {
    const { keys, verify } = setUp({}, { cache: { maxEntries: 2 } });
    for (const index of [1, 2, 1, 3, 1]) void verify(text(index));
    expect(keys.asked).toHaveLength(3);
    void verify(text(2));
    expect(keys.asked).toHaveLength(4);
  });

  test('keeps nothing of a flood of bad tokens', () => {
    const { verify } = setUp();
    const [header] = token().split('.');
    const flood = (count: number) => {
      for (let index = 0; index < count; index++) {
        const payload = Buffer.from(JSON.stringify({ ...claims, sid: index, pad: 'x'.repeat(2000) })).toString(
          'base64url',
        );
        expect(() => verify(`${header}.${payload}.${String(index).padStart(43, 'A')}`.slice(0, -1) + 'A')).toThrow(
          LoginError,
        );
      }
    };
    flood(500);
    const before = usedMemory();
    flood(3000);
    expect(usedMemory() - before).toBeLessThan(2_000_000);
  });
});

test.each([[undefined], [null], [5], [['a.b.c']], [{ toString: () => token() }]])('%p is no token', (value) => {
  const { verify } = setUp();
  expect(() => Reflect.apply(verify, undefined, [value]) as unknown).toThrow(codeIs('token_malformed'));
});

function later<Value>() {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve: (value: Value) => resolve(value) };
}

function usedMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
  return process.memoryUsage().heapUsed;
}
