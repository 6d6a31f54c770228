/**
 * The revocation stream: how a notice is written in it, and the loop that reads it.
 *
 * Beside the stream stand a random epoch, made anew whenever any of the three keys was missing, and a counter of entries.
 * A round counts only if all three agree with what was read so far; anything else is a gap.
 */

import { HANDLE_PATTERN, keptText, REASON_LIMIT, sessionUser, type Ending } from '../core/session.js';
import { STANDING_GLOBAL_CUTOFF } from './redis-scripts.js';
import type { FeedListener, Notice, RevocationFeed } from './store.js';

/** What the feed needs of a connection: ioredis's `Redis` and `Cluster` have it. */
export interface FeedConnection {
  call(command: string, ...args: string[]): Promise<unknown>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'connect', listener: () => void): unknown;
  disconnect(): void;
  readonly status?: string;
  /** The socket, once there is one. Absent in a `Cluster`. */
  readonly stream?: { unref(): unknown; destroy(): unknown };
}

export interface RedisFeedOptions {
  /**
   * Opens a connection of the feed's own, which the feed closes. It must hold commands back until it is connected, and
   * set no time limit of its own: {@link FEED_CONNECTION}. A `Cluster` must not send reads to replicas.
   */
  open(): FeedConnection;
  /** The four keys; in one slot. */
  readonly streamKey: string;
  readonly epochKey: string;
  readonly counterKey: string;
  readonly globalCutoffKey: string;
  /** The global cutoff as far as it is known here (empty: none), for each round to write back what was lost. */
  globalCutoff(): string;
  /** Told of it at each round, before the round counts. */
  learnGlobalCutoff(cutoff: string): void;
  /** In milliseconds. An idle feed is up to a quarter of it old. */
  readonly revocationBound: number;
  /** In milliseconds: how late a reply may be before the connection is given up. */
  readonly storeTimeout: number;
}

/**
 * ioredis's options for a connection that the feed can use, over those of the user's own client: the feed reconnects by
 * itself, measures its own time, and wants `LOADING` as an answer.
 */
export const FEED_CONNECTION = {
  lazyConnect: false,
  enableOfflineQueue: true,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  autoResendUnfulfilledCommands: false,
  retryStrategy: () => null,
  reconnectOnError: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
} as const;

/** An entry that says nothing: the round that it wakes tells the global cutoff. */
export const NUDGE = '["a"]';

/** Entries read at once. */
const PAGE = 256;
/** The first pause before a new connection, in milliseconds. */
const SHORTEST_PAUSE = 50;

/**
 * Reads what follows an entry, together with what tells whether anything is missing.
 * KEYS: stream, epoch, counter, global cutoff.
 * ARGV: the last id read (empty: none, read no entries), the most entries to read, the global cutoff as the caller
 *      knows it (or empty).
 * Returns epoch (empty where there is none), counter, the stream's last id ('0-0' where there is no stream), entries,
 * global cutoff (empty where there is none).
 *
 * XDEL of an id that no entry can have writes nothing, but is refused where writing is: on a replica, which may lag,
 * and on a master cut off from its replicas. Revocations are then acknowledged elsewhere.
 */
const READ = `${STANDING_GLOBAL_CUTOFF}
redis.call('XDEL', KEYS[1], '0-0')
local last_id, entries = '0-0', {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last_id = info[i + 1] end
  end
  if ARGV[1] ~= '' then entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) end
end
return { redis.call('GET', KEYS[2]) or '', redis.call('GET', KEYS[3]) or '0', last_id, entries,
  standing_global_cutoff(KEYS[4], ARGV[3]) }
`;

/** Where the reader stands: what a next reading that missed nothing goes on from. */
interface Place {
  /** Empty where nothing was ever written. */
  readonly epoch: string;
  readonly count: number;
  readonly lastId: string;
}

interface Entry {
  readonly id: string;
  readonly text: string;
}

/** What {@link READ} returned. */
interface Reading extends Place {
  readonly entries: readonly Entry[];
  readonly globalCutoff: string;
}

interface Step {
  readonly place: Place;
  /** The page was full and the stream goes on. */
  readonly more: boolean;
  /** Why entries were missed, or may have been; null where none were. */
  readonly gap: string | null;
}

/**
 * Starts to read the stream, and goes on until `close()` whatever becomes of the connection.
 *
 * The listener is told of every entry in order, by `gap` where one was missed or cannot be read. A listener that throws
 * on a notice is told of a gap; one that throws on a gap is told again, and the feed is not fresh until it took it.
 *
 * An idle feed keeps no process alive: its timers and its socket (that of a `Cluster` is the opener's) are `unref`ed.
 */
export function redisFeed(options: RedisFeedOptions, listener: Pick<FeedListener, 'notice' | 'gap'>): RevocationFeed {
  const { streamKey, epochKey, counterKey, globalCutoffKey, revocationBound, storeTimeout } = options;
  // A round is as old as the block when it counts, and twice as old when the next one does.
  const block = Math.floor(revocationBound / 8);
  const longestPause = Math.min(1000, revocationBound / 4);

  let place: Place | undefined;
  let owedGap: string | null = null;
  let countedAt = -Infinity;
  let lastError: Error | null = null;
  let failures = 0;
  let closed = false;
  const isClosed = (): boolean => closed;
  /** Ends what the loop is waiting for. */
  let interrupt = (): void => undefined;

  async function keepReading(): Promise<void> {
    while (!isClosed()) {
      try {
        await readOneConnection();
      } catch (error) {
        if (isClosed()) return;
        lastError = failure(error);
        await pause(Math.min(longestPause, SHORTEST_PAUSE * 2 ** failures++));
      }
    }
  }

  async function readOneConnection(): Promise<void> {
    const connection = options.open();
    let broken: unknown;
    connection.on('error', (error) => (broken = error));
    connection.on('connect', () => connection.stream?.unref());
    try {
      // The first round on a connection does not block: it tells at once what was missed.
      for (let wait = false; !isClosed();) wait = await round(connection, wait);
    } catch (error) {
      throw broken ?? error;
    } finally {
      // What has ended by itself, disconnected again, holds up the process for two seconds.
      if (connection.status !== 'end') connection.disconnect();
      // A half-open connection would wait for the other side's goodbye.
      connection.stream?.destroy();
    }
  }

  /** Resolves whether the stream's end was reached, where the next round may wait. */
  async function round(connection: FeedConnection, wait: boolean): Promise<boolean> {
    const sentAt = performance.now();
    const reading = readingOf(await inTime(ask(connection, wait)));
    if (isClosed()) return false;
    options.learnGlobalCutoff(reading.globalCutoff);
    for (const entry of reading.entries) tell(entry);
    const step = follow(place, reading);
    place = step.place;
    owedGap = step.gap ?? owedGap;
    if (step.more) return false;

    if (owedGap !== null) listener.gap(owedGap);
    owedGap = null;
    countedAt = sentAt;
    lastError = null;
    if (wait) failures = 0;
    return true;
  }

  /**
   * XREAD only waits: it holds back the script behind it on the same connection, which alone is believed. So it does no
   * harm where it returns too early, too late or elsewhere (a redirection, a client's own time limit).
   */
  function ask(connection: FeedConnection, wait: boolean): Promise<unknown> {
    const lastId = place?.lastId ?? '';
    const waited = wait
      ? connection.call('xread', 'COUNT', '1', 'BLOCK', String(block), 'STREAMS', streamKey, lastId)
      : Promise.resolve();
    const keys = [streamKey, epochKey, counterKey, globalCutoffKey];
    const read = connection.call('eval', READ, '4', ...keys, lastId, String(PAGE), options.globalCutoff());
    return Promise.all([read, waited]).then(([reply]) => reply);
  }

  function tell({ text }: Entry): void {
    if (text === NUDGE) return;
    const notice = decodeNotice(text);
    if (notice === undefined) {
      owedGap = 'an entry of the stream could not be read';
      return;
    }
    try {
      listener.notice(notice, false);
    } catch {
      owedGap = 'a notice was not taken in';
    }
  }

  function inTime(reply: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      interrupt = () => reject(new Error('The feed was closed'));
      // A process that was itself held up reads what has arrived before it judges.
      const timer = setTimeout(() => setImmediate(late), block + storeTimeout).unref();
      const late = (): void => reject(new Error(`Redis did not answer within ${storeTimeout} ms`));
      void reply.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Somewhat shorter than asked for, so that many processes do not come back at once. */
  function pause(duration: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, duration * (0.5 + Math.random() / 2)).unref();
      interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  const reading = keepReading();
  return {
    age: () => performance.now() - countedAt,
    lastError: () => lastError,
    async close() {
      closed = true;
      interrupt();
      await reading;
    },
  };
}

/** Goes on from a place, or takes a new one where the stream does not continue it. */
function follow(from: Place | undefined, reading: Reading): Step {
  const { epoch, count, lastId, entries } = reading;
  const place = { epoch, count, lastId };
  if (from === undefined) return { place, more: false, gap: null };
  if (from.epoch !== '' && epoch !== from.epoch) return { place, more: false, gap: 'the stream was begun anew' };

  const readTo = entries.at(-1)?.id ?? from.lastId;
  const read = from.count + entries.length;
  if (readTo !== lastId) {
    if (entries.length === PAGE) return { place: { epoch, count: read, lastId: readTo }, more: true, gap: null };
    return { place, more: false, gap: `the stream ends at ${lastId}, not at ${readTo}` };
  }
  return { place, more: false, gap: read === count ? null : `the stream counts ${count} entries, not ${read}` };
}

function readingOf(reply: unknown): Reading {
  const [epoch, count, lastId, entries, globalCutoff] = listOf(reply);
  return {
    epoch: textOf(epoch),
    count: countOf(count),
    lastId: textOf(lastId),
    entries: listOf(entries).map(entryOf),
    globalCutoff: textOf(globalCutoff),
  };
}

function countOf(value: unknown): number {
  const count = Number(textOf(value));
  if (!Number.isSafeInteger(count)) throw new TypeError('Redis answered with a counter that is none');
  return count;
}

/** An entry of another kind has an empty text, which is no notice. */
function entryOf(entry: unknown): Entry {
  const [id, fields] = listOf(entry);
  const [name, text] = listOf(fields);
  return { id: textOf(id), text: name === 'n' ? textOf(text) : '' };
}

/** Without what else ioredis's errors hold: a command's arguments may be a password. */
function failure(error: unknown): Error {
  return new Error(error instanceof Error ? error.message || error.name : String(error));
}

/** A notice as it stands in the stream; `reason` and `by` as far as they are kept. */
export function encodeNotice(notice: Notice): string {
  const { issuer, subject } = notice.user;
  if (notice.kind === 'ended') {
    const { handle, ending, until } = notice.tombstone;
    const { cause, reason, by, at, expiresAt } = ending;
    return JSON.stringify(['e', issuer, subject, handle, cause, kept(reason), by && kept(by), at, expiresAt, until]);
  }
  const { at, except, reason, by } = notice.cutoff;
  const ended = notice.ended.flatMap(({ handle, expiresAt, until }) => [handle, expiresAt, until]);
  return JSON.stringify(['c', issuer, subject, at, except, kept(reason), by && kept(by), ended]);
}

/** Undefined where the text is not what {@link encodeNotice} writes. */
export function decodeNotice(text: string): Notice | undefined {
  try {
    const [kind, issuer, subject, ...rest] = listOf(JSON.parse(text));
    const user = sessionUser(textOf(issuer), textOf(subject));
    if (kind === 'e') {
      const [handle, cause, reason, by, at, expiresAt, until] = exactly(7, rest);
      const ending = {
        cause: causeOf(cause),
        ...wordsOf(reason, by),
        at: momentOf(at),
        expiresAt: orNull(momentOf, expiresAt),
      };
      return { kind: 'ended', user, tombstone: { handle: handleOf(handle), ending, until: momentOf(until) } };
    }
    if (kind === 'c') {
      const [at, except, reason, by, ended] = exactly(5, rest);
      const cutoff = { at: momentOf(at), except: orNull(handleOf, except), ...wordsOf(reason, by) };
      return { kind: 'cutoff', user, cutoff, ended: endedOf(listOf(ended)) };
    }
    return undefined;
  } catch {
    return undefined;
  }
}

type EndedByCutoff = Extract<Notice, { kind: 'cutoff' }>['ended'][number];

function endedOf(flat: readonly unknown[]): EndedByCutoff[] {
  const ended: EndedByCutoff[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    ended.push({ handle: handleOf(flat[i]), expiresAt: momentOf(flat[i + 1]), until: momentOf(flat[i + 2]) });
  }
  return ended;
}

const kept = (text: string): string => keptText(text, REASON_LIMIT);

function wordsOf(reason: unknown, by: unknown): { reason: string; by: string | null } {
  return { reason: kept(textOf(reason)), by: orNull((name) => kept(textOf(name)), by) };
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('Redis answered with something else than a list');
  return value;
}

function exactly(length: number, list: readonly unknown[]): readonly unknown[] {
  if (list.length !== length) throw new TypeError('A list of another length');
  return list;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('Redis answered with something else than a text');
  return value;
}

function handleOf(value: unknown): string {
  const handle = textOf(value);
  if (!HANDLE_PATTERN.test(handle)) throw new TypeError('Not a handle');
  return handle;
}

/** Beyond 8.64e15 milliseconds there are no dates. */
function momentOf(value: unknown): number {
  if (typeof value !== 'number' || !(Math.abs(value) <= 8.64e15)) throw new TypeError('Not a moment');
  return value;
}

function causeOf(value: unknown): Ending['cause'] {
  if (value === 'revoked' || value === 'expired' || value === 'idle') return value;
  throw new TypeError('Not a cause');
}

function orNull<T>(valueOf: (value: unknown) => T, value: unknown): T | null {
  return value === null ? null : valueOf(value);
}
