/** The operations on the sessions of one user: each runs a script, or batches of one, and announces what that ended. */

import { LRUCache } from 'lru-cache';
import type { Cutoff } from '../../core/cutoff.js';
import { ERASED } from '../../core/erased.js';
import { sessionRecord } from '../../core/record.js';
import { unseenUntil, type SessionPolicy } from '../../core/policy.js';
import type { SessionUser } from '../../core/session.js';
import type { StaleTokens } from '../../core/stale.js';
import {
  backdatedTo,
  CannotTellYet,
  compareListed,
  type EndedByCutoff,
  type IndexEntry,
  type Notice,
  type SessionStore,
  type SightRequest,
  type Tombstone,
} from '../store.js';
import type { Announcer } from './announcer.js';
import type { RunScript } from './script-runner.js';
import {
  NO_PROGRESS,
  SET_CUTOFF,
  TOMBSTONE_BATCH,
  type CutoffBatch,
  type CutoffSet,
  type CutoffToSet,
} from './cutoff-scripts.js';
import type { KnownGlobalCutoff } from './global-cutoff.js';
import { liveRecords } from './live-records.js';
import { userKeys, type Call } from './session-prelude.js';
import { GET, LABEL, LIST, RESTORE, REVOKE } from './session-scripts.js';
import type { SessionIndex } from './session-index.js';
import { COMMON_SIGHTING, mayBeCommon } from './common-sighting.js';
import { SIGHT } from './sight-script.js';
import { EXPIRE_TOKENS, type StaleSet } from './stale-script.js';

/** Users whose unacknowledged cutoffs are remembered. */
const UNACKNOWLEDGED = 1000;
/** Tombstones written back by one script. */
const RESTORE_BATCH = 100;

export interface SessionsOptions {
  readonly prefix: string;
  readonly origin: string;
  readonly run: RunScript;
  /** The same, before all that waits. For what ends sessions. */
  readonly runFirst: RunScript;
  /** The same, also acknowledged by the configured number of replicas. */
  readonly runDurably: RunScript;
  readonly announcer: Announcer;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly index: SessionIndex;
}

export class RedisSessions {
  readonly #options: SessionsOptions;
  /** Users of whom a cutoff was begun, and its end is not known here: the reply may have been lost. */
  readonly #unacknowledged = new LRUCache<string, true>({ max: UNACKNOWLEDGED });

  /** Sightings without an answer, by user. */
  readonly #openSightings = new Map<string, Set<Promise<unknown>>>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  readonly sight: SessionStore['sight'] = (user, request, onLate) => {
    const sighted = this.#sight(user, request, onLate);
    const open = this.#openSightings.get(user.key) ?? new Set();
    this.#openSightings.set(user.key, open.add(sighted));
    const settle = (): void => {
      open.delete(sighted);
      if (open.size === 0) this.#openSightings.delete(user.key);
    };
    sighted.then(settle, settle);
    return sighted;
  };

  readonly #sight: SessionStore['sight'] = async (user, request, onLate) => {
    if (request.index !== undefined) await this.#enter(user, request, request.index);
    const input = { ...request, ...this.#call(request.sighting.at, request.policy) };
    const announceEnded = (ended: readonly Tombstone[]): void => {
      // The sessions are ended whether this is announced or not. The sighting neither waits for it nor fails with it.
      inBackground(this.#options.announcer.announce(endingNotices(user, ended), this.#options.runFirst));
    };
    if (mayBeCommon(input)) {
      const keys = this.#keysOf(user).slice(0, input.clientKey == null ? -1 : undefined);
      const answer = await this.#options.run(COMMON_SIGHTING, keys, input, (late) => {
        if (late !== null) onLate?.(late);
      });
      const { usedAt = 0 } = request;
      // A later use that this request tells of is written by the full script.
      const isAllTold = answer?.state !== 'live' || answer.lastSeenAt >= usedAt;
      if (answer !== null && isAllTold) return answer;
    }
    for (;;) {
      const { answer, ended } = await this.#options.run(SIGHT, this.#keysOf(user), input, (late) => {
        announceEnded(late.ended);
        if (typeof late.answer !== 'string') onLate?.(late.answer);
      });
      announceEnded(ended);
      if (answer === 'unknown')
        throw new CannotTellYet('Redis was started a moment ago, and may not know of the latest use');
      if (answer !== 'again') return answer;
    }
  };

  readonly list: SessionStore['list'] = async (user, { limit, cursor, at, policy }) => {
    await this.#behindSightings(user);
    const call = this.#call(at, policy);
    const found: ReturnType<typeof liveRecords> = [];
    let from = cursor;
    let total: number;
    do {
      const stretch = await this.#options.run(LIST, this.#keysOf(user), { ...call, limit: limit + 1, from });
      const live = liveRecords(stretch, call);
      found.push(...live.filter((record) => cursor === null || compareListed(cursor, record) < 0));
      total = stretch.total ?? live.length;
      from = stretch.next;
    } while (from !== null && found.length <= limit);
    const page = found.sort(compareListed).slice(0, limit);
    const sessions = page.map((record) => sessionRecord(record.handle, record));
    const last = page.at(-1);
    const hasMore = found.length > limit && last !== undefined;
    return { sessions, next: hasMore ? { lastSeenAt: last.lastSeenAt, handle: last.handle } : null, total };
  };

  readonly get: SessionStore['get'] = async (user, handle, at, policy) => {
    await this.#behindSightings(user);
    const found = await this.#options.run(GET, this.#keysOf(user), { handle });
    const [record] = liveRecords(found, this.#call(at, policy));
    return record === undefined ? null : sessionRecord(handle, record);
  };

  readonly label: SessionStore['label'] = async (user, handle, label, at, policy) => {
    const input = { ...this.#call(at, policy), handle, label };
    const record = await this.#options.run(LABEL, this.#keysOf(user), input);
    return record === null ? null : sessionRecord(handle, record);
  };

  readonly revoke: SessionStore['revoke'] = async (user, request) => {
    const { handle, at, policy } = request;
    const { announcer, runDurably } = this.#options;
    const tell = async ({ tombstone }: ReturnType<typeof REVOKE.decode>): Promise<void> => {
      if (tombstone === null) return;
      await announcer.announce([{ kind: 'ended', user, tombstone: { handle, ...tombstone } }], runDurably);
    };
    const input = { ...request, ...this.#call(at, policy) };
    const revoked = await runDurably(REVOKE, this.#keysOf(user), input, (late) => inBackground(tell(late)));
    await tell(revoked);
    return revoked.outcome;
  };

  readonly revokeAll: SessionStore['revokeAll'] = async (user, request) => {
    const { at, policy, except, reason, by } = request;
    const upTo = backdatedTo(request);
    const { origin } = this.#options;
    const flags = { isRestored: false, isBackdated: upTo !== null, erasedAt: 0 };
    const cutoff = { at: upTo, except, reason, by, origin, ...flags };
    return { ended: await this.#setCutoff(user, cutoff, this.#call(at, policy), this.#options.runDurably) };
  };

  readonly erase: SessionStore['erase'] = async (user, { at, policy }) => {
    const { origin, runDurably } = this.#options;
    const flags = { isRestored: false, isBackdated: false, erasedAt: 0 };
    const cutoff = { at: null, except: null, reason: ERASED, by: null, origin, ...flags };
    return { ended: await this.#setCutoff(user, cutoff, this.#call(at, policy), runDurably, true) };
  };

  readonly expireTokens: SessionStore['expireTokens'] = async (user, request) => {
    const { upTo = null, reason, by, at, policy } = request;
    const { announcer, runDurably } = this.#options;
    const tell = ({ standing }: StaleSet): Promise<void> =>
      announcer.announce(staleNotices(user, standing), runDurably);
    const input = { ...this.#call(at, policy), upTo, until: null, reason, by };
    await tell(await runDurably(EXPIRE_TOKENS, this.#keysOf(user), input, (late) => inBackground(tell(late))));
  };

  readonly restore: SessionStore['restore'] = async (user, request) => {
    const { tombstones, cutoff, staleTokens = null, at, policy, isUnseen = false } = request;
    const { announcer, run, runFirst } = this.#options;
    const call = this.#call(at, policy);
    let missing = 0;
    for (let from = 0; from < tombstones.length; from += RESTORE_BATCH) {
      const batch = tombstones.slice(from, from + RESTORE_BATCH);
      const tell = (tombstones: readonly Tombstone[]): Promise<void> =>
        announcer.announce(isUnseen ? [] : endingNotices(user, tombstones), runFirst);
      const written = await run(RESTORE, this.#keysOf(user), { ...call, tombstones: batch }, (late) =>
        inBackground(tell(late)),
      );
      await tell(written);
      missing += written.length;
    }
    if (staleTokens !== null) await this.#restoreStale(user, staleTokens, call);
    const lost = cutoff === null ? null : { ...cutoff, isRestored: true, isBackdated: false };
    if (lost !== null) await this.#setCutoff(user, lost, call, runFirst);
    return { missing };
  };

  /** Not atomic with the sighting, but before it. If the id was ended, the session gets the tombstone that it would have got. */
  async #enter(
    user: SessionUser,
    { handle, sighting: { at }, policy }: SightRequest,
    index: IndexEntry,
  ): Promise<void> {
    const ending = await this.#options.index.enter(user, index, at);
    if (ending === null) return;
    const tombstone = { handle, ending, until: unseenUntil(at, policy) };
    await this.restore(user, { tombstones: [tombstone], cutoff: null, at, policy });
  }

  async #restoreStale(user: SessionUser, { at: upTo, until, reason, by }: StaleTokens, call: Call): Promise<void> {
    const { announcer, runFirst } = this.#options;
    const tell = ({ standing, isNews }: StaleSet): Promise<void> =>
      announcer.announce(staleNotices(user, isNews ? standing : null), runFirst);
    const input = { ...call, upTo, until, reason, by };
    await tell(await runFirst(EXPIRE_TOKENS, this.#keysOf(user), input, (late) => inBackground(tell(late))));
  }

  /**
   * Sets a cutoff and writes the tombstones of the sessions that it ends, after those of the cutoff before it. Announces
   * them in this order. Resolves to the number of live sessions that were ended.
   */
  async #setCutoff(
    user: SessionUser,
    cutoff: CutoffToSet,
    call: Call,
    run: RunScript,
    isErasing = false,
  ): Promise<number> {
    const isRepeated = this.#unacknowledged.has(user.key);
    this.#unacknowledged.set(user.key, true);
    const count = await this.#writeCutoff(user, { ...call, cutoff, isRepeated, isErasing }, run);
    this.#unacknowledged.delete(user.key);
    return count;
  }

  async #writeCutoff(
    user: SessionUser,
    call: Call & { readonly cutoff: CutoffToSet; readonly isRepeated: boolean; readonly isErasing: boolean },
    run: RunScript,
  ): Promise<number> {
    const keys = this.#keysOf(user);
    const tell = (answer: CutoffSet): Promise<void> =>
      this.#options.announcer.announce(cutoffNotices(user, answer, call.cutoff), run);

    let progress = NO_PROGRESS;
    let count = 0;
    for (;;) {
      const answer = await run(SET_CUTOFF, keys, { ...call, progress }, (late) => inBackground(tell(late)));
      await tell(answer);
      if (answer.state === 'standing') return count + (answer.excepted?.isCounted === true ? 1 : 0);
      ({ progress } = answer);
      count += answer.ended.length;
      if (answer.state === 'again') continue;

      const tellBatch = async ({ ended, endedBefore }: CutoffBatch): Promise<void> => {
        const before = endedBefore.length > 0 ? answer.before : null;
        if (ended.length > 0 || before !== null) await tell({ ...answer, before, ended, endedBefore });
      };
      while (progress.cursor !== '0') {
        const batch = await run(TOMBSTONE_BATCH, keys, { ...call, progress }, (late) => inBackground(tellBatch(late)));
        await tellBatch(batch);
        ({ progress } = batch);
        count += batch.ended.length;
      }
      return count;
    }
  }

  #keysOf(user: SessionUser): string[] {
    return userKeys(this.#options.prefix, user);
  }

  /** What is read of a user after a sighting of this process is read behind it, also if that takes two scripts. */
  async #behindSightings(user: SessionUser): Promise<void> {
    const open = this.#openSightings.get(user.key);
    if (open !== undefined) await Promise.allSettled(open);
  }

  #call(at: number, policy: SessionPolicy): Call {
    const { origin, globalCutoff } = this.#options;
    return { at, policy, globalCutoff: globalCutoff.text, origin };
  }
}

function endingNotices(user: SessionUser, tombstones: readonly Tombstone[]): Notice[] {
  return tombstones.map((tombstone) => ({ kind: 'ended', user, tombstone }));
}

function staleNotices(user: SessionUser, staleTokens: StaleTokens | null): Notice[] {
  return staleTokens === null ? [] : [{ kind: 'stale', user, staleTokens }];
}

function cutoffNotices(user: SessionUser, answer: CutoffSet, wanted: CutoffToSet): Notice[] {
  const notice = (cutoff: Cutoff, ended: readonly EndedByCutoff[]): Notice => ({ kind: 'cutoff', user, cutoff, ended });
  if (answer.state === 'standing') {
    const { at, isBackdated } = wanted;
    if (at === null || !isBackdated) return [];
    const { cutoff, excepted } = answer;
    const ofExcepted = excepted === null ? [] : endingNotices(user, [excepted.tombstone]);
    const ofMessage = cutoff.except === null ? [] : [notice({ ...wanted, at }, [])];
    return [...ofExcepted, notice(cutoff, []), ...ofMessage];
  }
  const { cutoff, ended, endedBefore } = answer;
  if (answer.state === 'again') return [notice(cutoff, [...endedBefore, ...ended])];
  const { before } = answer;
  return [...(before === null ? [] : [notice(before, endedBefore)]), notice(cutoff, ended)];
}

/** For a promise that nobody waits for. */
function inBackground(work: Promise<void>): void {
  work.catch(() => undefined);
}
