/** TLS with a CA of one's own, as docs/redis.md shows it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

import { redisStore, type RedisClient } from '../../../lib/stores/redis/store.js';
import { freePort, startRedis, type TestRedis } from '../../support/redis.js';
import { SELF_SIGNED } from '../../support/self-signed.js';
import { PATIENT, tokenOf, untilAnswers, untilFresh } from '../../support/site.js';
import { used } from '../../support/started.js';

const folder = mkdtempSync(join(tmpdir(), 'managed-sessions-tls-'));
const { cert: ca } = SELF_SIGNED;
let redis: TestRedis;
let url: string;

beforeAll(async () => {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(cert, ca);
  writeFileSync(key, SELF_SIGNED.key);
  const port = String(await freePort());
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
  redis = await startRedis({ args: ['--tls-port', port, ...files, '--tls-auth-clients', 'no'] });
  url = `rediss://localhost:${port}`;
});

afterAll(async () => {
  await redis.stop();
  rmSync(folder, { recursive: true });
});

const CLIENTS: readonly (readonly [string, (options: object) => RedisClient])[] = [
  ['ioredis 6', (options) => new Redis(url, options)],
  ['ioredis 5', (options) => new Redis5(url, options)],
];

test.each(CLIENTS)('%s: commands, the feed and endings go by TLS', (version, open) =>
  used(async (started) => {
    const site = await started.site({ store: redisStore(open({ lazyConnect: true, tls: { ca } })), ...PATIENT });
    const token = tokenOf(version);
    await untilAnswers(site, token, 200);
    await untilFresh(site);
    await site.sessions.revokeAll(version);
    await untilAnswers(site, token, 401);
  }),
);

test.each(CLIENTS)('%s: without the CA nobody is let in, and the reason is said', (version, open) =>
  used(async (started) => {
    const site = await started.site({ store: redisStore(open({ lazyConnect: true })), ...PATIENT });
    await untilAnswers(site, tokenOf(version), 503);
    expect(site.sessions.health().store.lastError).toMatch(/self-signed certificate/);
  }),
);
