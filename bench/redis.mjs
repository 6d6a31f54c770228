/**
 * What sightings, lists and endings cost Redis: its own microseconds per script, as multiples of one pipelined `HSET` of 150
 * bytes into a new hash in the same run. After `npm run build`: `npm run bench:redis` (`-- --against path/to/another/dist`
 * alternates with another build, `-- --only text` measures what has this text in its name).
 */

import { join, resolve } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { machine, markdownTable, median, QUICK, root, show, startRedis, userAgent } from './support.mjs';

const ROUNDS = QUICK ? 3 : 9;
const AT_ONCE = 50;
const SIZES = [1, 3, 10, 30, 100];
const HOUR = 3600 * 1000;
const POLICY = {
  idleTimeout: 30 * 24 * HOUR,
  clockTolerance: 5000,
  tombstoneFor: 30 * 24 * HOUR,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

/** Each is prepared for all users, and then measured. `goal`: in the same unit. */
const MEASURED = [
  {
    name: 'first sighting',
    goal: 'one: 16; 100: 1.5 times as much',
    prepare: (seen, user, sessions) => seen.fill(user, sessions - 1),
    run: (seen, user, sessions) => seen.sight(user, sessions - 1),
  },
  {
    name: 'seen again',
    goal: 'one: 10; 100: 1.5 times as much',
    prepare: (seen, user, sessions) => seen.fill(user, sessions),
    run: (seen, user) => seen.sight(user, 0),
  },
  {
    name: 'seen again, with a refreshed token',
    prepare: (seen, user, sessions) => seen.fill(user, sessions),
    run: (seen, user) => seen.sight(user, 0, HOUR),
  },
  {
    name: 'list of 50',
    goal: '100: 100',
    prepare: (seen, user, sessions) => seen.fill(user, sessions),
    run: (seen, user) => seen.list(user),
  },
  {
    name: '`revokeAll`',
    prepare: (seen, user, sessions) => seen.fill(user, sessions),
    run: (seen, user) => seen.revokeAll(user),
  },
];
const BESIDE_OTHERS = [
  {
    name: 'first sighting, beside 300 tombstones',
    goal: '1.5 times that of one',
    prepare: (seen, user, sessions) => seen.fillBesideTombstones(user, sessions - 1),
    run: (seen, user, sessions) => seen.sight(user, sessions - 1),
  },
  {
    name: 'first sighting, at the limit of 100',
    prepare: (seen, user, sessions) => seen.fill(user, sessions),
    run: (seen, user, sessions) => seen.sight(user, sessions),
  },
  {
    name: 'seen again, beside 300 tombstones',
    goal: '1.5 times that of one',
    prepare: (seen, user, sessions) => seen.fillBesideTombstones(user, sessions),
    run: (seen, user) => seen.sight(user, 0),
  },
];
/** As a process does that has not seen the session yet: the client is noted. */
const NOTING = [
  {
    name: 'first sighting, of a new client',
    prepare: (seen, user, sessions) => seen.fill(user, sessions - 1, CLIENT),
    run: (seen, user, sessions) => seen.sight(user, sessions - 1, 0, OTHER_CLIENT),
  },
  {
    name: 'first sighting, of a known client',
    prepare: (seen, user, sessions) => seen.fill(user, sessions - 1, CLIENT),
    run: (seen, user, sessions) => seen.sight(user, sessions - 1, 0, CLIENT),
  },
  {
    name: 'seen again, by another process',
    prepare: (seen, user, sessions) => seen.fill(user, sessions, CLIENT),
    run: (seen, user) => seen.sight(user, 0, 0, CLIENT),
  },
];
/** With the option `sessionIndex`: two scripts the first time, then one. */
const INDEXED = [
  {
    name: 'first sighting, with `sessionIndex`',
    prepare: (seen, user, sessions) => seen.fill(user, sessions - 1),
    run: (seen, user, sessions) => seen.sightIndexed(user, sessions - 1),
  },
  {
    name: 'ended by its id alone, with `sessionIndex`',
    prepare: (seen, user, sessions) => seen.sightIndexed(user, sessions - 1),
    run: (seen, user, sessions) => seen.endIndexed(user, sessions - 1),
  },
];
const CLIENT = { clientKey: 'abcdefgh' };
const OTHER_CLIENT = { clientKey: 'ABCDEFGH' };
const only = process.argv.indexOf('--only');
const CASES = [
  ...MEASURED.flatMap((measured) => SIZES.map((sessions) => ({ ...measured, sessions }))),
  ...BESIDE_OTHERS.map((measured) => ({ ...measured, sessions: 100 })),
  ...NOTING.map((measured) => ({ ...measured, sessions: 3 })),
  ...INDEXED.map((measured) => ({ ...measured, sessions: 1 })),
].filter(({ name }) => only < 0 || name.includes(process.argv[only + 1]));

const against = process.argv.indexOf('--against');
const builds = { now: join(root, 'dist'), ...(against > 0 && { before: resolve(process.argv[against + 1]) }) };

const server = await startRedis();
const redis = new Redis(server.url);
const [, version] = /redis_version:(\S+)/.exec(await redis.info('server')) ?? [];
const units = [];
const costs = new Map();
const bytes = {};
function report() {
  const unit = median(units);
  const cell = (build, { name }, sessions) => {
    const measured = costs.get(`${build} ${name} ${String(sessions)}`);
    return measured === undefined ? '' : show(median(measured) / unit);
  };
  const rows = [...MEASURED, ...BESIDE_OTHERS, ...NOTING, ...INDEXED].flatMap((measured) =>
    Object.keys(builds).map((build) => [
      build === 'now' ? measured.name : '',
      build,
      ...SIZES.map((sessions) => cell(build, measured, sessions)),
      build === 'now' ? (measured.goal ?? '') : '',
    ]),
  );
  const header = ['', 'build', ...SIZES.map((sessions) => `${String(sessions)} sessions`), 'goal'];
  return [
    `${machine()}, Redis ${String(version)}. 1 is an \`HSET\`: ${unit.toFixed(2)} µs.`,
    markdownTable(header, rows),
    `Bytes of Redis per session, three a user, user agents of 120 characters: ${JSON.stringify(bytes)}`,
  ].join('\n\n');
}

/** Of one user in one process; `at` goes on with each call. */
class Seen {
  #store;
  #sessionUser;
  #at = Date.now();

  static async open(dist) {
    const load = (file) => import(pathToFileURL(join(dist, 'esm', file)).href);
    const [{ redisStore }, { sessionUser }] = await Promise.all([load('index.js'), load('core/session.js')]);
    const store = redisStore(server.url);
    store.configure({ storeTimeout: 60_000, revocationBound: 5000 });
    return new Seen(store, sessionUser);
  }

  constructor(store, sessionUser) {
    this.#store = store;
    this.#sessionUser = sessionUser;
  }

  async sight(user, session, tokenFor = 0, more = {}) {
    const at = (this.#at += 1);
    const token = {
      beganAt: this.#began,
      expiresAt: this.#began + 8 * HOUR + tokenFor,
      lifetime: null,
      sessionEndsAt: null,
    };
    const sighting = { at, ip: '203.0.113.7', userAgent: userAgent(session).padEnd(120, '.') };
    const answer = await this.#store.sight(this.#user(user), {
      handle: handleOf(session),
      sighting,
      token,
      policy: POLICY,
      ...more,
    });
    if (answer.state !== 'live') throw new Error(`A session is ${answer.state}`);
  }

  sightIndexed(user, session) {
    return this.sight(user, session, 0, { index: { id: idOf(user, session), until: this.#began + 31 * 24 * HOUR } });
  }

  /** Also the revocation that follows, by a script of the user's sessions, and the notice. */
  async endIndexed(user, session) {
    const words = { reason: 'told', by: null, at: this.#at, policy: POLICY };
    for (const subject of await this.#store.endIndexed(idOf(user, session), words)) {
      const of = this.#sessionUser('https://id.example.com/', subject);
      await this.#store.revoke(of, { handle: handleOf(session), evenUnseen: true, ...words });
    }
  }

  async fillIndexed(user, sessions) {
    for (let session = 0; session < sessions; session += 1) await this.sightIndexed(user, session);
  }

  async fill(user, sessions, more = {}) {
    for (let session = 0; session < sessions; session += 1) await this.sight(user, session, 0, more);
  }

  async fillBesideTombstones(user, sessions) {
    for (let session = 1000; session < 1300; session += 1) {
      await this.sight(user, session);
      const end = { handle: handleOf(session), reason: 'signed_out', by: null, at: this.#at, policy: POLICY };
      await this.#store.revoke(this.#user(user), end);
    }
    await this.fill(user, sessions);
  }

  list(user) {
    return this.#store.list(this.#user(user), { limit: 50, cursor: null, at: this.#at, policy: POLICY });
  }

  revokeAll(user) {
    return this.#store.revokeAll(this.#user(user), {
      except: null,
      reason: 'everywhere',
      by: null,
      at: this.#at,
      policy: POLICY,
    });
  }

  close() {
    return this.#store.close();
  }

  #began = Math.floor(Date.now() / 1000) * 1000;
  #user = (user) => this.#sessionUser('https://id.example.com/', `usr_${String(user)}`);
}

function handleOf(session) {
  return String(session).padStart(22, 's');
}

/** Of the session in the index by session id. */
function idOf(user, session) {
  return `${String(user)}x${String(session)}`.padStart(22, 'i');
}

async function each(users, work) {
  for (let from = 0; from < users; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, users - from) }, (_, index) => work(from + index)));
  }
}

async function costOf(dist, { prepare, run, sessions }) {
  const users = Math.max(QUICK ? 10 : 40, Math.ceil((QUICK ? 60 : 300) / sessions));
  await redis.flushall();
  const seen = await Seen.open(dist);
  try {
    // Redis gets the scripts.
    await prepare(seen, -1, 1);
    await run(seen, -1, 1);
    await each(users, (user) => prepare(seen, user, sessions));
    await redis.config('RESETSTAT');
    await each(users, (user) => run(seen, user, sessions));
    return (await scriptStats()).usec / users;
  } finally {
    await seen.close();
  }
}

/** Of scripts on user's sessions: the scripts of the feed are told apart by their number of keys, and run first. */
async function scriptStats() {
  const info = await redis.info('commandstats');
  let [usec, calls] = [0, 0];
  for (const [, command, count, time] of info.matchAll(/^cmdstat_(evalsha|eval):calls=(\d+),usec=(\d+)/gm)) {
    if (command === 'eval' && Number(count) > 2) throw new Error('Scripts were sent as text');
    usec += Number(time);
    calls += Number(count);
  }
  return { usec, calls };
}

async function costOfHset() {
  await redis.flushall();
  await redis.config('RESETSTAT');
  for (let batch = 0; batch < 20; batch += 1) {
    const pipeline = redis.pipeline();
    for (let index = 0; index < 100; index += 1)
      pipeline.hset(`hash:${String(batch)}:${String(index)}`, 'field', 'x'.repeat(150));
    await pipeline.exec();
  }
  const [, calls, usec] = /^cmdstat_hset:calls=(\d+),usec=(\d+)/m.exec(await redis.info('commandstats'));
  return Number(usec) / Number(calls);
}

async function bytesOfSession(dist, isIndexed) {
  await redis.flushall();
  const seen = await Seen.open(dist);
  try {
    const users = 1000;
    await seen.sight(users, 0);
    const before = await usedMemory();
    await each(users, (user) => (isIndexed ? seen.fillIndexed(user, 3) : seen.fill(user, 3)));
    return Math.round(((await usedMemory()) - before) / users / 3);
  } finally {
    await seen.close();
  }
}

async function usedMemory() {
  const [, used] = /used_memory_dataset:(\d+)/.exec(await redis.info('memory')) ?? [];
  return Number(used);
}

try {
  for (let round = 0; round < ROUNDS; round += 1) {
    units.push(await costOfHset());
    for (const [build, dist] of Object.entries(builds)) {
      for (const measured of CASES) {
        const key = `${build} ${measured.name} ${String(measured.sessions)}`;
        costs.set(key, [...(costs.get(key) ?? []), await costOf(dist, measured)]);
      }
      bytes[build] = await bytesOfSession(dist, false);
      bytes[`${build}, with sessionIndex`] = await bytesOfSession(dist, true);
    }
  }
  console.log(report());
} finally {
  await redis.quit();
  await server.stop();
}
