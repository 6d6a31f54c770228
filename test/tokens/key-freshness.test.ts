/** How long a key that left its set is honoured: by an idle process, by the cache of verified tokens, and in an outage. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LoginError } from '../../lib/core/errors.js';
import type { KeyEvent, KeySource } from '../../lib/tokens/key-source.js';
import { jwksKeys, type JwksOptions } from '../../lib/tokens/keys.js';
import { createVerifier } from '../../lib/tokens/verify.js';
import { createEndpoint, halfAnswer, jwkOf, keySet, KEYS, ManualClock, noAnswer } from '../support/issuer.js';
import type { Answer, Endpoint } from '../support/issuer.js';
import { forge } from './forge.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ISSUER = 'https://id.example.com/';
const { rsa, otherRsa } = KEYS;
const a = jwkOf(rsa.publicKey, { kid: 'a' });
const b = jwkOf(otherRsa.publicKey, { kid: 'b' });
const down: Answer = (response) => response.writeHead(503).end();

const endings: (() => unknown)[] = [];
let clock: ManualClock;
let events: KeyEvent[];
let endpoint: Endpoint;

beforeEach(async () => {
  clock = new ManualClock();
  events = [];
  endpoint = await createEndpoint(keySet(a, b));
  endings.push(() => endpoint.close());
});

afterEach(async () => {
  await Promise.all(endings.splice(0).map((end) => end()));
});

interface SetUp {
  readonly keys: KeySource;
  /** `'good'`, or the code of the refusal. */
  check(token: string): Promise<string>;
}

/** A verifier whose keys have been fetched. */
async function warm(options: Partial<JwksOptions> = {}): Promise<SetUp> {
  const keys = jwksKeys({
    uri: endpoint.url,
    keysMaxAge: 10 * MINUTE,
    keysMaxStale: 24 * HOUR,
    clock,
    onEvent: (event) => events.push(event),
    ...options,
  });
  endings.push(() => keys.close());
  await keys.candidates({ kid: 'a', alg: 'RS256' });
  const verifier = createVerifier({
    issuers: [{ issuer: ISSUER, clockTolerance: 0, keys }],
    clock,
    lifetime: () => null,
  });
  async function check(token: string): Promise<string> {
    try {
      await verifier.verify(token);
      return 'good';
    } catch (error) {
      if (error instanceof LoginError) return error.code;
      throw error;
    }
  }
  return { keys, check };
}

/** Signed with the key `a` or `b`, and good for a week. */
function tokenBy(kid: string, sub = 'ann'): string {
  const { privateKey } = kid === 'b' ? otherRsa : rsa;
  const payload = { iss: ISSUER, sub, iat: clock.at / 1000, exp: clock.at / 1000 + 7 * 86_400 };
  return forge({ alg: 'RS256', key: privateKey, header: { kid }, payload });
}

/** Answers only when it is let go. */
function holding(answer: Answer): { readonly answer: Answer; release(): void } {
  const held: (() => void)[] = [];
  return {
    answer: (response, request) => void held.push(() => answer(response, request)),
    release: () => held.splice(0).forEach((answerNow) => answerNow()),
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

describe('a key that left its set', () => {
  test('is refused after 20 quiet hours, also by the 400 requests that come while the endpoint takes its time', async () => {
    const { check } = await warm();
    const slow = holding(keySet(b));
    endpoint.answer = slow.answer;
    clock.advance(20 * HOUR);
    // All are signed before the fetch begins: it has five seconds of real time.
    const tokens = Array.from({ length: 400 }, (_, index) => tokenBy('a', `user-${index}`));
    const goodTokens = [tokenBy('b'), tokenBy('b', 'ben')];
    const forged = tokens.map(check);
    const good = goodTokens.map(check);
    await until(() => endpoint.requests === 2);
    slow.release();
    expect(new Set(await Promise.all(forged))).toEqual(new Set(['key_unknown']));
    expect(await Promise.all(good)).toEqual(['good', 'good']);
    expect(endpoint.requests).toBe(2);
  });

  test('is refused with a token that is in the cache, by a process that was idle', async () => {
    const { check } = await warm();
    const slow = holding(keySet(b));
    endpoint.answer = slow.answer;
    clock.advance(10 * MINUTE - 10_000);
    const token = tokenBy('a');
    expect(await check(token)).toBe('good');
    expect(await check(token)).toBe('good');

    clock.advance(30_000);
    const waiting = check(token);
    await until(() => endpoint.requests === 2);
    slow.release();
    expect(await waiting).toBe('key_unknown');
  });

  test.each([
    ['a second, of which a cached token would last sixty', 1_000, 1_000],
    ['ten seconds', 10_000, 59_000],
  ])('is refused in the cache where keysMaxAge is %s', async (_name, keysMaxAge, idle) => {
    const { check } = await warm({ keysMaxAge });
    const token = tokenBy('a');
    expect(await check(token)).toBe('good');
    endpoint.answer = keySet(b);
    clock.advance(idle);
    expect(await check(token)).toBe('key_unknown');
    expect(endpoint.requests).toBe(2);
  });

  test('is refused once an endpoint that was down is back, by the first request that a fetch is due for', async () => {
    const { check } = await warm();
    endpoint.answer = down;
    clock.advance(20 * HOUR);
    const token = tokenBy('a');
    expect(await check(token)).toBe('good');
    endpoint.answer = keySet(b);
    clock.advance(1_000);
    expect(await check(token)).toBe('key_unknown');
    expect(await check(tokenBy('b'))).toBe('good');
    expect(events.map(({ kind }) => kind)).toEqual(['down', 'up']);
  });
});

describe('a set that is older than keysMaxAge', () => {
  test('is used if the fetch fails, up to keysMaxStale, also for a token in the cache', async () => {
    const { keys, check } = await warm();
    endpoint.answer = down;
    clock.advance(10 * MINUTE);
    const token = tokenBy('a');
    expect(await check(token)).toBe('good');
    expect(await check(tokenBy('b'))).toBe('good');
    expect(endpoint.requests).toBe(2);

    clock.advance(24 * HOUR - 10 * MINUTE - 1);
    expect(await check(token)).toBe('good');
    clock.advance(1);
    expect(await check(token)).toBe('keys_unavailable');
    expect(keys.health().ok).toBe(false);
  });

  test.each<[string, Answer]>([
    ['never answers', noAnswer],
    ['answers half', halfAnswer],
  ])('is used once the wait is over, if the endpoint %s, whatever the garbage collector does', async (_name, hung) => {
    const { check } = await warm({ fetchTimeout: 2000 });
    endpoint.answer = hung;
    clock.advance(HOUR);
    const waiting = Array.from({ length: 20 }, (_, index) => check(tokenBy('a', `user-${index}`)));
    const progress = { isOver: false };
    const all = Promise.all(waiting).finally(() => (progress.isOver = true));
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    while (!progress.isOver) {
      collectGarbage();
      await new Promise(setImmediate);
    }
    expect(new Set(await all)).toEqual(new Set(['good']));
    expect(events).toMatchObject([{ kind: 'down', error: { message: expect.stringMatching(/took too long/) } }]);
  });

  test('delays nobody while the next try is not due, also if an unknown kid makes it fetch', async () => {
    const { keys, check } = await warm();
    endpoint.answer = down;
    clock.advance(HOUR);
    expect(await check(tokenBy('a'))).toBe('good');
    endpoint.answer = noAnswer;
    const unknown = check(tokenBy('unknown'));
    await until(() => endpoint.requests === 3);
    const known = keys.candidates({ kid: 'a', alg: 'RS256' });
    expect(known).toMatchObject([{ kid: 'a' }]);
    keys.close();
    expect(await unknown).toBe('keys_unavailable');
  });

  test('and an unknown kid wait for the same fetch', async () => {
    const { check } = await warm();
    clock.advance(HOUR);
    const outcomes = await Promise.all(['a', 'x', 'b', 'y'].map((kid) => check(tokenBy(kid))));
    expect(outcomes).toEqual(['good', 'key_unknown', 'good', 'key_unknown']);
    expect(endpoint.requests).toBe(2);
  });
});

describe('a set that is younger', () => {
  test('is fetched in the background where nothing but cached tokens comes', async () => {
    const { keys, check } = await warm({ keysMaxAge: MINUTE });
    const token = tokenBy('a');
    expect(await check(token)).toBe('good');
    clock.advance(0.75 * MINUTE - 1);
    expect(await check(token)).toBe('good');
    await fetch(endpoint.url, { method: 'HEAD' });
    expect(endpoint.requests).toBe(1);
    clock.advance(1);
    expect(await check(token)).toBe('good');
    await until(() => endpoint.requests === 2);
    await until(() => keys.health().age === 0);
  });

  test('delays no known key, while a thousand unknown ones wait for a fetch', async () => {
    const { keys, check } = await warm();
    const slow = holding(keySet(a, b));
    endpoint.answer = slow.answer;
    clock.advance(9 * MINUTE);
    // All are signed before the fetch begins: it has five seconds of real time.
    const tokens = Array.from({ length: 1000 }, (_, index) => tokenBy(`unknown-${index}`));
    const unknown = tokens.map(check);
    expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toMatchObject([{ kid: 'a' }]);
    await until(() => endpoint.requests === 2);
    expect(keys.candidates({ kid: 'b', alg: 'RS256' })).toMatchObject([{ kid: 'b' }]);
    slow.release();
    expect(new Set(await Promise.all(unknown))).toEqual(new Set(['key_unknown']));
    expect(endpoint.requests).toBe(2);
  });
});
