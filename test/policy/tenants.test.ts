/** 500 tenants, each an issuer of its own that no process knows at startup, on one Redis. */

import { generateKeyPairSync } from 'node:crypto';
import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import { createEndpoint, jwkOf, keySet, type Endpoint } from '../support/issuer.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { forge } from '../tokens/forge.js';
import { ask } from './logins.js';

const TENANTS = 500;
/** So that a machine that is busy is not taken for a Redis that is away. */
const PATIENT = { storeTimeout: '20s', revocationBound: '60s' } as const;

interface Tenant {
  readonly issuer: string;
  /** Of a session that began a minute ago. */
  readonly token: string;
}

let redis: TestRedis;
let endpoint: Endpoint;
let tenants: readonly Tenant[];

beforeAll(async () => {
  redis = await startRedis();
  const keys = new Map<string, unknown>();
  // One server, with a key set for each tenant on a path of its own.
  endpoint = await createEndpoint((response, request) => keySet(keys.get(request.url ?? ''))(response, request));
  tenants = Array.from({ length: TENANTS }, (_, index) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    keys.set(`/${index}/jwks.json`, jwkOf(publicKey, { kid: 'k' }));
    const issuer = `https://id.example.com/${index}`;
    const iat = Math.floor(Date.now() / 1000) - 60;
    const payload = { iss: issuer, sub: 'ann', aud: 'shop', sid: 's', iat, exp: iat + 3600 };
    return { issuer, token: forge({ alg: 'ES256', key: privateKey, header: { kid: 'k' }, payload }) };
  });
});
afterAll(async () => {
  await endpoint.close();
  await redis.stop();
});

/** One app process, as far as anybody outside can tell, and how often it asked who an issuer is. */
function start(): { readonly sessions: ManagedSessions; readonly asked: string[] } {
  const asked: string[] = [];
  const sessions = managedSessions({
    async issuer(iss) {
      asked.push(iss);
      const index = /^https:\/\/id\.example\.com\/(\d+)$/.exec(iss)?.[1];
      if (index === undefined || tenants[Number(index)] === undefined) return null;
      return { issuer: iss, jwksUri: `${endpoint.url}/${index}/jwks.json`, audience: 'shop' };
    },
    store: redisStore(redis.url),
    ...PATIENT,
  });
  return { sessions, asked };
}

/** The connections to Redis, but for the one that asks. */
async function connections(): Promise<number> {
  const lines = String(await redis.cli('client', 'list')).split('\n');
  return lines.filter((line) => line !== '' && !line.includes(' cmd=client')).length;
}

/** A busy machine may take too long for a key set. */
function untilLive(sessions: ManagedSessions, { token }: Tenant): Promise<boolean> {
  return eventually('it is live', async () => (await ask(sessions, token)) === 'live');
}

test('500 tenants use the connections that one uses, and each is revoked in every process', async () => {
  const [here, there, elsewhere] = [start(), start(), start()];
  const all = [here, there, elsewhere].map(({ sessions }) => sessions);
  try {
    const [first] = tenants;
    for (const sessions of all) {
      await untilLive(sessions, first!);
      await eventually('the feed is fresh', async () => sessions.health().feed.ok);
    }
    const before = await connections();

    for (const tenant of tenants) {
      for (const { sessions } of [here, there]) await untilLive(sessions, tenant);
    }
    expect(await connections()).toBeLessThanOrEqual(before);
    for (const { asked } of [here, there]) expect(asked).toEqual(tenants.map(({ issuer }) => issuer));

    // By a process that has seen none of them but the first.
    for (const { issuer } of tenants) {
      expect(await elsewhere.sessions.revokeAll({ issuer, subject: 'ann' })).toEqual({ ended: 1 });
    }
    expect(elsewhere.asked).toEqual([first!.issuer]);
    for (const { sessions } of [here, there]) {
      for (const { token } of tenants) {
        await eventually('it is refused', async () => (await ask(sessions, token)) === 'session_revoked');
      }
    }
    expect(await connections()).toBeLessThanOrEqual(before);
    for (const { asked } of [here, there]) expect(asked).toHaveLength(TENANTS);
    for (const sessions of all) expect(sessions.health().keys).toMatchObject({ ok: true, lastError: null });
  } finally {
    await Promise.all(all.map((sessions) => sessions.close()));
  }
});

test('the subject of one tenant is not the subject of another', async () => {
  await redis.cli('flushall');
  const { sessions } = start();
  try {
    const [one, two] = tenants;
    for (const tenant of [one!, two!]) await untilLive(sessions, tenant);
    await sessions.revokeAll({ issuer: one!.issuer, subject: 'ann' });
    expect(await ask(sessions, one!.token)).toBe('session_revoked');
    expect(await ask(sessions, two!.token)).toBe('live');
  } finally {
    await sessions.close();
  }
});
