/** Sessions in Redis: connections, key names, paging. The Lua is in redis-scripts.ts. */

import { randomBytes } from 'node:crypto';

import { Redis } from 'ioredis';

import { checkOptions, type OptionKinds } from '../core/check.js';
import { tokenEndsAt, type SessionPolicy } from '../core/policy.js';
import {
  IP_LIMIT,
  keptLabel,
  keptOrNull,
  keptText,
  REASON_LIMIT,
  USER_AGENT_LIMIT,
  type SessionRecord,
  type SessionUser,
} from '../core/session.js';
import { redisConnection, type RedisClient, type RedisConnection } from './redis-connection.js';
import { encodeNotice, FEED_CONNECTION, NUDGE, redisFeed } from './redis-feed.js';
import {
  CUT,
  decodeCutoff,
  decodeEveryone,
  decodeRecord,
  decodeTombstone,
  encodeTombstone,
  END_EVERYWHERE,
  EVERYONE,
  GET,
  LIST,
  packed,
  PUBLISH,
  RESTORE,
  REVOKE,
  SIGHT,
  SWEEP,
  type Script,
} from './redis-scripts.js';
import type {
  EndEverywhereRequest,
  FeedListener,
  ListCursor,
  ListRequest,
  Notice,
  RevocationFeed,
  RevokeAllRequest,
  RevokeRequest,
  SessionPage,
  SessionStore,
  SightAnswer,
  SightRequest,
  StoreSettings,
  Tombstone,
} from './store.js';

export type { RedisClient } from './redis-connection.js';

export interface RedisStoreOptions {
  /** What every key begins with; no braces, which have a meaning in a Cluster. Default `'ms'`. */
  readonly prefix?: string;
  /**
   * Replicas that must have what a revocation writes before it is acknowledged (Redis's `WAIT`); with fewer it rejects
   * with `store_unavailable`. Default 0: an acknowledgement is as durable as the one Redis.
   */
  readonly minReplicas?: number;
}

/** Feed entries younger than this are never trimmed, and none younger than ten bounds, in milliseconds. */
const FEED_AGE = 10 * 60 * 1000;
const FEED_KEYS_LIVE = 30 * 24 * 3600 * 1000;
/** Tombstones written back by one script. */
const RESTORE_BATCH = 100;
const DURABLE_ATTEMPTS = 3;

/**
 * Sessions in Redis 6.2 or later, or Valkey.
 *
 * `target`: a `redis://` or `rediss://` URL, for which connections are opened and closed here; or a `Redis` or `Cluster`
 * of ioredis 5 or 6 (Sentinel through its options), which is used as it is and never closed: only duplicates of it are
 * opened, one to read the feed and one to wait for replicas. Connects when first asked.
 *
 * @throws TypeError where the target or an option cannot be right.
 */
export function redisStore(target: string | RedisClient, options: RedisStoreOptions = {}): SessionStore {
  const { prefix, minReplicas } = checkedOptions(options);
  const duplicate = duplicator(target);

  let settings: StoreSettings | null = null;
  let commands: RedisConnection | null = null;
  let durable: RedisConnection | null = null;
  let listener: FeedListener | null = null;
  let feed: RevocationFeed | null = null;

  function configured<T>(part: T | null): T {
    if (part === null) throw new TypeError('configure() comes before any other call of a store');
    return part;
  }

  const feedKeys = ['stream', 'epoch', 'count'].map((part) => `${prefix}:{feed}:${part}`);
  const everyoneKey = `${prefix}:{feed}:everyone`;
  /** Tells this store object's own cutoffs of everyone from those of others. */
  const origin = randomBytes(9).toString('base64url');
  /** The cutoff of everyone, as it stands in Redis; empty: none is known. */
  let everyone = '';
  let everyoneAt = 0;

  /** The three keys of a user's scripts; one hash tag, so one slot. */
  function keysOf(user: SessionUser): string[] {
    return ['s', 'c', 'i'].map((part) => `${prefix}:{${user.key}}:${part}`);
  }

  /** One script, one round trip; `decode` narrows what it returns. `onLate` is told what comes after the time is over. */
  function run<T>(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
    decode: Decode<T>,
    onLate?: (answer: T) => void,
  ): Promise<T> {
    return configured(commands).run(async (client) => decode(await evaluate(client, script, keys, args)), onLate);
  }

  /** The same, acknowledged by `minReplicas` too. */
  function runDurably<T>(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
    decode: Decode<T>,
    onLate?: (answer: T) => void,
  ): Promise<T> {
    if (minReplicas === 0) return run(script, keys, args, decode, onLate);
    // The last quarter of the time is for the reply to come back.
    const wait = String(Math.ceil(configured(settings).storeTimeout * 0.75));
    return configured(durable).run(
      async (client) => decode(await evaluateDurably(client, script, keys, args, String(minReplicas), wait)),
      onLate,
    );
  }

  /** Tells our own listener first: the process that ends a session is the first to know. Then writes the feed entries. */
  async function announce(notices: readonly Notice[], write: typeof run, own = true): Promise<void> {
    for (const notice of notices) listener?.notice(notice, own);
    await write(PUBLISH, feedKeys, [...feedHead(), ...notices.map(encodeNotice)], () => undefined);
  }

  /** What every script that writes to the feed is given first. */
  function feedHead(): string[] {
    const age = Math.max(FEED_AGE, 10 * configured(settings).revocationBound);
    return [randomBytes(12).toString('base64url'), String(FEED_KEYS_LIVE), whole(age)];
  }

  function learnEveryone(text: string): void {
    const told = decodeEveryone(text);
    if (told === undefined || told.cutoff.at <= everyoneAt) return;
    everyone = text;
    everyoneAt = told.cutoff.at;
    listener?.everyone(told.cutoff, told.origin === origin);
  }

  /** What every user script is given first. */
  function headOf(at: number, { idleTimeout, clockTolerance, tombstoneFor }: SessionPolicy): string[] {
    return [whole(at), wholeOrNone(idleTimeout), whole(clockTolerance), whole(tombstoneFor), everyone];
  }

  async function endEverywhere({ reason, by }: EndEverywhereRequest): Promise<void> {
    const words = [keptOrNull(by, REASON_LIMIT) ?? '', keptText(reason, REASON_LIMIT)];
    const args = [...feedHead(), everyone, origin, ...words, NUDGE];
    function learn(standing: readonly string[]): void {
      for (const text of standing) learnEveryone(text);
    }
    learn(await runDurably(END_EVERYWHERE, [...feedKeys, everyoneKey], args, asTexts, learn));
  }

  async function sight(
    user: SessionUser,
    request: SightRequest,
    onLate?: (answer: SightAnswer) => void,
  ): Promise<SightAnswer> {
    const { handle, sighting, token, policy } = request;
    const args = [
      ...headOf(sighting.at, policy),
      handle,
      wholeOrNone(token.issuedAt),
      wholeOrNone(token.lifetime),
      whole(tokenEndsAt(token)),
      keptOrNull(sighting.ip, IP_LIMIT) ?? '',
      packed(keptOrNull(sighting.userAgent, USER_AGENT_LIMIT) ?? ''),
      Number.isFinite(policy.maxSessions) ? whole(policy.maxSessions) : '',
      policy.atSessionLimit,
      request.track === false ? '' : '1',
      request.clientKey ?? '',
    ];
    function announceEnded({ ended }: { readonly ended: readonly Tombstone[] }): void {
      if (ended.length === 0) return;
      const notices = ended.map((tombstone) => ({ kind: 'ended', user, tombstone }) as const);
      // The sessions are ended, told or not; this one neither waits nor pays for it.
      announce(notices, run).catch(() => undefined);
    }
    function takeLate(sighted: ReturnType<typeof decodeSight>): void {
      announceEnded(sighted);
      if (sighted.answer !== 'again') onLate?.(sighted.answer);
    }
    for (;;) {
      const sighted = await run(
        SIGHT,
        [...keysOf(user), `${prefix}:{${user.key}}:k`],
        args,
        (reply) => decodeSight(handle, reply),
        takeLate,
      );
      announceEnded(sighted);
      if (sighted.answer !== 'again') return sighted.answer;
    }
  }

  async function list(user: SessionUser, { limit, cursor, at, policy }: ListRequest): Promise<SessionPage> {
    const found: SessionRecord[] = [];
    let from = cursor;
    do {
      const wanted = whole(limit + 1 - found.length);
      const args = [...headOf(at, policy), wanted, wholeOrNone(from?.lastSeenAt ?? null), from?.handle ?? ''];
      const stretch = await run(LIST, keysOf(user), args, decodeStretch);
      found.push(...stretch.sessions);
      from = stretch.next;
    } while (from !== null && found.length <= limit);
    const sessions = found.slice(0, limit);
    const last = sessions.at(-1);
    const hasMore = found.length > limit && last !== undefined;
    return { sessions, next: hasMore ? { lastSeenAt: last.lastSeenAt, handle: last.handle } : null };
  }

  async function revoke(user: SessionUser, request: RevokeRequest): Promise<'ended' | 'already' | 'unknown'> {
    const { handle, at, policy, token } = request;
    const args = [
      ...headOf(at, policy),
      handle,
      keptOrNull(request.by, REASON_LIMIT) ?? '',
      keptText(request.reason, REASON_LIMIT),
      ...(token === undefined
        ? ['']
        : ['1', wholeOrNone(token.issuedAt), wholeOrNone(token.lifetime), whole(tokenEndsAt(token))]),
    ];
    async function tell({ outcome, tombstone }: ReturnType<typeof decodeRevoke>): Promise<void> {
      if (tombstone === null) return;
      await announce([{ kind: 'ended', user, tombstone }], runDurably, outcome === 'ended');
    }
    const answer = await runDurably(
      REVOKE,
      keysOf(user),
      args,
      (reply) => decodeRevoke(handle, reply),
      inBackground(tell),
    );
    await tell(answer);
    return answer.outcome;
  }

  async function revokeAll(user: SessionUser, request: RevokeAllRequest): Promise<{ ended: number }> {
    const { at, policy, except, reason, by } = request;
    const keys = keysOf(user);
    const head = headOf(at, policy);
    const texts = [except ?? '', keptOrNull(by, REASON_LIMIT) ?? '', keptText(reason, REASON_LIMIT)];
    const tell = ({ cutoff, ended }: ReturnType<typeof decodeCut>): Promise<void> =>
      announce([{ kind: 'cutoff', user, cutoff, ended }], runDurably);
    const first = await runDurably(CUT, keys, [...head, ...texts], decodeCut, inBackground(tell));
    const { cutoff } = first;
    await tell(first);

    let ended = first.ended.length;
    for (let { cursor } = first; cursor !== '0';) {
      const batch = await runDurably(SWEEP, keys, [...head, cursor], decodeSweep);
      if (batch.ended.length > 0) await announce([{ kind: 'cutoff', user, cutoff, ended: batch.ended }], runDurably);
      ended += batch.ended.length;
      ({ cursor } = batch);
    }
    return { ended };
  }

  async function restore(user: SessionUser, known: Parameters<SessionStore['restore']>[1]): Promise<void> {
    const { tombstones, cutoff, at, policy } = known;
    const head = headOf(at, policy);
    let texts = ['', '', '', ''];
    if (cutoff !== null) {
      const { except, by, reason } = keptWords(cutoff);
      texts = [whole(cutoff.at), except ?? '', by ?? '', reason];
    }
    let isCutoffSet = false;
    for (let from = 0; from === 0 || from < tombstones.length; from += RESTORE_BATCH) {
      const batch = tombstones.slice(from, from + RESTORE_BATCH);
      const fields = batch.flatMap((tombstone) => [
        tombstone.handle,
        encodeTombstone({ ...tombstone, ending: keptWords(tombstone.ending) }),
      ]);
      const sets = await run(RESTORE, keysOf(user), [...head, ...texts, ...fields], (reply) => reply === '1');
      isCutoffSet ||= sets;
    }
    for (let cursor = isCutoffSet ? '0' : null; cursor !== null;) {
      const swept = await run(SWEEP, keysOf(user), [...head, cursor], decodeSweep);
      cursor = swept.cursor === '0' ? null : swept.cursor;
    }
  }

  return {
    configure(given) {
      if (settings !== null) {
        throw new TypeError('This redisStore is already in use: give each managedSessions a redisStore of its own');
      }
      settings = given;
      const timeout = given.storeTimeout;
      const own = { open: () => duplicate(COMMAND_CONNECTION), isOwn: true, timeout };
      commands = redisConnection(typeof target === 'string' ? own : { open: () => target, isOwn: false, timeout });
      if (minReplicas > 0) durable = redisConnection(own);
    },
    sight,
    list,
    async get(user, handle, at, policy) {
      return run(GET, keysOf(user), [...headOf(at, policy), handle], (reply) => decodeFound(handle, reply));
    },
    async label(user, handle, label, at, policy) {
      const args = [...headOf(at, policy), handle, keptLabel(label) ?? ''];
      return run(GET, keysOf(user), args, (reply) => decodeFound(handle, reply));
    },
    revoke,
    revokeAll,
    restore,
    endEverywhere,
    async catchUp() {
      learnEveryone(await run(EVERYONE, [everyoneKey], [everyone], asText));
    },
    feed(told) {
      const { revocationBound, storeTimeout } = configured(settings);
      listener = told;
      const [streamKey = '', epochKey = '', counterKey = ''] = feedKeys;
      feed = redisFeed(
        {
          open: () => duplicate(FEED_CONNECTION),
          streamKey,
          epochKey,
          counterKey,
          everyoneKey,
          everyone: () => everyone,
          learnEveryone,
          revocationBound,
          storeTimeout,
        },
        told,
      );
      return feed;
    },
    health: () => configured(commands).health(),
    async close() {
      commands?.close();
      durable?.close();
      await feed?.close();
    },
  };
}

type Decode<T> = (reply: unknown) => T;

/** For what was done though nobody waits for it any more: who hears of it is told, as far as that goes. */
function inBackground<T>(tell: (answer: T) => Promise<void>): (answer: T) => void {
  return (answer) => {
    tell(answer).catch(() => undefined);
  };
}

const OPTIONS: OptionKinds<RedisStoreOptions> = {
  prefix: {
    accepts: (value) => typeof value === 'string' && value !== '' && !/[{}\s]/.test(value),
    words: 'a non-empty string without braces and white space',
  },
  minReplicas: {
    accepts: (value) => Number.isInteger(value) && Number(value) >= 0,
    words: 'an integer of at least 0',
  },
};

function checkedOptions(options: RedisStoreOptions): Required<RedisStoreOptions> {
  checkOptions(options, 'redisStore()', OPTIONS);
  const { prefix = 'ms', minReplicas = 0 } = options;
  return { prefix, minReplicas };
}

/** What makes connections of our own to the same Redis, with these options over the client's. */
function duplicator(target: string | RedisClient): (overrides: ConnectionOptions) => RedisClient {
  if (typeof target === 'string') {
    // The message does not repeat the URL: it may hold a password.
    if (!/^rediss?:\/\//.test(target) || !URL.canParse(target)) {
      throw new TypeError('redisStore takes a redis:// or rediss:// URL, or an ioredis client; this text is neither');
    }
    return (overrides) => new Redis(target, overrides);
  }
  if (!isClient(target)) {
    throw new TypeError(`redisStore takes a redis:// or rediss:// URL, or an ioredis client, got ${kindOf(target)}`);
  }
  if (!target.isCluster) return (overrides) => target.duplicate(overrides);
  return (overrides) => {
    const { lazyConnect, enableOfflineQueue, enableAutoPipelining, retryStrategy, ...redisOptions } = overrides;
    const ofCluster = { lazyConnect, enableOfflineQueue, enableAutoPipelining, clusterRetryStrategy: retryStrategy };
    return target.duplicate([], { ...ofCluster, scaleReads: 'master', redisOptions });
  };
}

function isClient(target: unknown): target is RedisClient {
  return typeof target === 'object' && target !== null && 'duplicate' in target;
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

type ConnectionOptions = typeof COMMAND_CONNECTION | typeof FEED_CONNECTION;

/** Nothing is queued, resent or timed by ioredis: a lost command is lost at once, and its time is ours. */
const COMMAND_CONNECTION = {
  lazyConnect: true,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  autoResendUnfulfilledCommands: false,
  retryStrategy: (attempt: number): number => Math.min(50 * attempt, 1000),
  // Behind a name, the next connection may reach the new master.
  reconnectOnError: (error: Error): boolean => error.message.startsWith('READONLY'),
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
};

/** By the script's digest; by its text where the server does not have it (it was restarted, or is another node). */
async function evaluate(
  client: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  const operands = [String(keys.length), ...keys, ...args];
  try {
    return await client.call('evalsha', script.sha, ...operands);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await client.call('eval', script.lua, ...operands);
  }
}

/**
 * The script and `WAIT` on one connection to one node: they go out together, so that nothing comes between. By its text,
 * because a pipeline cannot be taken up again in the middle.
 */
async function evaluateDurably(
  client: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly string[],
  replicas: string,
  wait: string,
): Promise<unknown> {
  let refusal: Error | null = null;
  for (let attempt = 0; attempt < DURABLE_ATTEMPTS; attempt += 1) {
    const replies = await client
      .pipeline([
        ['eval', script.lua, String(keys.length), ...keys, ...args],
        ['wait', replicas, wait],
      ])
      .exec();
    const [evaluated, waited] = replies ?? [];
    if (evaluated === undefined || waited === undefined) break;
    [refusal] = evaluated;
    if (refusal === null) {
      if (waited[0] !== null) throw waited[0];
      if (Number(waited[1]) >= Number(replicas)) return evaluated[1];
      throw new Error(`${String(waited[1])} of ${replicas} replicas have it`);
    }
    if (!/^(MOVED|ASK|TRYAGAIN) /.test(refusal.message)) break;
    // The slot has moved, and nothing was done: a command on its own makes the Cluster client learn where to.
    await client.call('exists', ...keys.slice(0, 1));
  }
  throw refusal ?? new Error('The connection was lost');
}

const whole = (value: number): string => String(Math.trunc(value));
const wholeOrNone = (value: number | null): string => (value === null ? '' : whole(value));

function keptWords<T extends { readonly reason: string; readonly by: string | null }>(words: T): T {
  return { ...words, reason: keptText(words.reason, REASON_LIMIT), by: keptOrNull(words.by, REASON_LIMIT) };
}

function asList(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError('Redis answered something that is no list');
  return reply;
}

function asTexts(reply: unknown): readonly string[] {
  return asList(reply).map(asText);
}

function asText(reply: unknown): string {
  if (typeof reply !== 'string') throw new TypeError('Redis answered something that is no text');
  return reply;
}

/** The flat list of a script, in groups. */
function inGroups(reply: unknown, size: number): string[][] {
  const flat = asTexts(reply);
  return Array.from({ length: flat.length / size }, (_, index) => flat.slice(index * size, (index + 1) * size));
}

function decodeFound(handle: string, reply: unknown): SessionRecord | null {
  return reply === null ? null : decodeRecord(handle, asText(reply)).record;
}

function decodeSight(handle: string, reply: unknown): { answer: SightAnswer | 'again'; ended: Tombstone[] } {
  const [state, text, before, flat = [], familiar] = asList(reply);
  const ended = inGroups(flat, 2).map(([of = '', tombstone = '']) => decodeTombstone(of, tombstone));
  if (state === 'again') return { answer: 'again', ended };
  if (state === 'refused') return { answer: { state: 'refused' }, ended };
  if (state === 'ended') {
    const { ending, until } = decodeTombstone(handle, asText(text));
    return { answer: { state: 'ended', ending, until }, ended };
  }
  const { record, knownUnder, dated } = decodeRecord(handle, asText(text));
  const known = before === '' ? null : decodeRecord(handle, asText(before)).record;
  const hasMoved = known !== null && (known.ip !== record.ip || known.userAgent !== record.userAgent);
  const { startedAt, expiresAt } = record;
  const moved = hasMoved ? { ip: known.ip, userAgent: known.userAgent } : null;
  return {
    answer: {
      state: 'live',
      startedAt,
      dated,
      expiresAt,
      created: known === null,
      familiar: familiar === '1',
      moved,
      knownUnder,
    },
    ended,
  };
}

function decodeStretch(reply: unknown): { sessions: SessionRecord[]; next: ListCursor | null } {
  const [flat, seen, after] = asList(reply);
  const sessions = inGroups(flat, 2).map(([handle = '', text = '']) => decodeRecord(handle, text).record);
  return { sessions, next: seen === '' ? null : { lastSeenAt: Number(asText(seen)), handle: asText(after) } };
}

function decodeRevoke(
  handle: string,
  reply: unknown,
): { outcome: 'ended' | 'already' | 'unknown'; tombstone: Tombstone | null } {
  const [outcome, text] = asList(reply);
  if (outcome !== 'ended' && outcome !== 'already') return { outcome: 'unknown', tombstone: null };
  return { outcome, tombstone: decodeTombstone(handle, asText(text)) };
}

type Swept = Extract<Notice, { kind: 'cutoff' }>['ended'];

function decodeSweep(reply: unknown): { cursor: string; ended: Swept } {
  const [cursor, flat] = asList(reply);
  const ended = inGroups(flat, 3).map(([handle = '', expires, until]) => ({
    handle,
    expiresAt: Number(expires),
    until: Number(until),
  }));
  return { cursor: asText(cursor), ended };
}

function decodeCut(
  reply: unknown,
): ReturnType<typeof decodeSweep> & Pick<Extract<Notice, { kind: 'cutoff' }>, 'cutoff'> {
  const [text, ...swept] = asList(reply);
  return { cutoff: decodeCutoff(asText(text)), ...decodeSweep(swept) };
}
