/** A client that does not know that its session was ended goes on refreshing: what its tokens cost the store. */

import jwt from 'jsonwebtoken';
import { managedSessions, memoryStore, redisStore, type ManagedSessions, type SessionStore } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const SECRET = 'a secret for tests, 32 bytes long';
const TOKEN_LASTS = 300;

let redis: TestRedis;
let clock: ManualClock;
let sessions: ManagedSessions;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(() => {
  clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
});
afterEach(() => sessions.close());

/** A store whose calls are counted. */
class CountedStore {
  calls: string[] = [];
  readonly store: SessionStore;
  readonly #pending = new Set<Promise<unknown>>();

  constructor(store: SessionStore) {
    this.store = new Proxy(store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          const answer: unknown = Reflect.apply(member, target, args);
          if (answer instanceof Promise) this.#count(String(name), answer);
          return answer;
        };
      },
    });
  }

  #count(name: string, answer: Promise<unknown>): void {
    this.calls.push(name);
    const settled = answer.then(
      () => undefined,
      () => undefined,
    );
    this.#pending.add(settled);
    void settled.then(() => this.#pending.delete(settled));
  }

  /** Until nothing that was asked in the background is left. */
  async isQuiet(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}

let refreshes = 0;
function refreshedToken(): string {
  clock.advance((TOKEN_LASTS - 10) * 1000);
  const iat = clock.now() / 1000;
  const jti = `token ${String((refreshes += 1))}`;
  return jwt.sign({ sub: 'ann', sid: 's1', jti, iat, exp: iat + TOKEN_LASTS }, SECRET, { issuer: 'my-app' });
}

describe.each([
  ['memory', memoryStore],
  ['Redis', () => redisStore(redis.url)],
])('a session in %s that was ended', (_, make) => {
  test('costs no store call for 1,000 refreshed tokens more than for the first', async () => {
    const counted = new CountedStore(make());
    const issuer = { issuer: 'my-app', secret: SECRET };
    const patient = { storeTimeout: 5000, revocationBound: '1h' } as const;
    sessions = managedSessions({ issuer, store: counted.store, clock, tombstoneFor: '30d', ...patient });
    const { session } = await sessions.verify(refreshedToken());
    await sessions.revoke('ann', session.handle);
    await counted.isQuiet();
    counted.calls = [];

    await expect(sessions.verify(refreshedToken())).rejects.toMatchObject({ code: 'session_revoked' });
    await counted.isQuiet();
    const { length: first } = counted.calls;
    expect(first).toBeLessThanOrEqual(1);
    for (let refresh = 1; refresh < 1000; refresh += 1) {
      await expect(sessions.verify(refreshedToken())).rejects.toMatchObject({ code: 'session_revoked' });
    }
    await counted.isQuiet();
    expect(counted.calls.length).toBe(first);
  });
});
