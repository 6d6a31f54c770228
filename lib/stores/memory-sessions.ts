/** What the memory store keeps of one user. */

import {
  beganUpTo,
  CUTOFF_FOR,
  endingByCutoff,
  endingCutoff,
  mayBeginAfterCutoff,
  standingCutoff,
  withoutException,
  type Cutoff,
  type GlobalCutoff,
  type JudgedByCutoff,
  type StandingCutoff,
} from '../core/cutoff.js';
import { asErased, withoutWords } from '../core/erased.js';
import {
  decide,
  expiresAt,
  extendedUntil,
  rowUntil,
  tombstoneUntil,
  unseenUntil,
  type SessionPolicy,
} from '../core/policy.js';
import {
  hasNewClient,
  mergeSighting,
  movedFrom,
  NO_ROW,
  rowOf,
  timesOf,
  withKnown,
  type KeptRecord,
  type KeptTimes,
  type KnownUse,
} from '../core/record.js';
import { keptLabel, keptWords, type Ending, type TokenTimes } from '../core/session.js';
import { isStale, laterStale, type StaleTokens } from '../core/stale.js';
import { NotedClients } from './memory-clients.js';
import { compareListed } from './store.js';
import type { EndedByCutoff, RevokeOutcome, RevokeRequest, SightAnswer, SightRequest, Tombstone } from './store.js';

/** A record with its handle. */
export interface Kept extends KeptRecord {
  readonly handle: string;
}

/** What a call needs to judge sessions. */
export interface Call {
  readonly at: number;
  readonly policy: SessionPolicy;
  readonly globalCutoff: GlobalCutoff | null;
  /** The origin of the store object. */
  readonly origin: string;
}

const PRUNE_AT_LEAST = 32;
/** How many sessions one step of a cutoff looks at: other work has its turn between two steps. */
const CUTOFF_BATCH = 250;

/** The sessions of one user. */
export class UserSessions {
  readonly #byHandle = new Map<string, Kept | Tombstone>();
  #clients = new NotedClients();
  #cutoff: (StandingCutoff & { readonly until: number }) | null = null;
  #staleTokens: StaleTokens | null = null;
  /** The number of sessions at which expired ones are pruned again. */
  #pruneAt = PRUNE_AT_LEAST;

  /** Settled when the cutoff has ended all of its sessions. Null: it has. */
  cuttingOff: Promise<unknown> | null = null;

  get cutoff(): StandingCutoff | null {
    return this.#cutoff;
  }

  sight(request: SightRequest, call: Call): { answer: SightAnswer; ended: readonly Tombstone[] } {
    const { handle, sighting, token, usedAt, track = true, clientKey = null } = request;
    const { at, policy } = call;
    const { knownUse = { inUseSince: at, known: null } } = request;
    const kept = this.#find(handle, call);
    const staleTokens = this.#staleAt(call);
    if (staleTokens !== null && !isTombstone(kept) && isStale(staleTokens, token)) {
      return { answer: { state: 'stale', staleTokens }, ended: [] };
    }
    const known = isTombstone(kept) ? undefined : this.#withKnown(kept, knownUse, token, call);
    const tombstone = isTombstone(kept) ? kept : this.#endIfOver(handle, known, knownUse.inUseSince, call);
    if (tombstone !== null) {
      const extended = this.#extendTombstone(tombstone, extendedUntil(tombstone.until, token, policy));
      const { ending, until } = extended;
      // Only this caller knew of it: others may have been told that it is live.
      return { answer: { state: 'ended', ending, until }, ended: kept === undefined ? [extended] : [] };
    }

    const rowBefore = kept === undefined || isTombstone(kept) || isRowOver(kept, call) ? null : kept;
    const wasLive = known !== undefined && decide(known, policy, at, knownUse.inUseSince).state === 'live';
    // A request that does not count as use says nothing of the client, unless it is the first.
    const keepsRow = usedAt !== undefined && (rowBefore !== null || (kept !== undefined && wasLive));
    const row = rowBefore ?? NO_ROW;
    const seen = mergeSighting(known, row, sighting, token, this.#cutoff, usedAt);
    const merged = { ...seen, ...(keepsRow && rowOf(row)), handle };
    const ending = this.#endingOf(known, merged, knownUse.inUseSince, call);
    if (ending !== null) {
      const until = Math.max(tombstoneUntil(merged, policy), known === undefined ? 0 : tombstoneUntil(known, policy));
      if (ending.origin !== null) this.#writeTombstone({ handle, ending, until });
      return { answer: { state: 'ended', ending, until }, ended: [] };
    }

    const { startedAt, endsAt, lastSeenAt, survivedCutoffAt } = merged;
    const times = { startedAt, endsAt, expiresAt: expiresAt(merged), lastSeenAt, survivedCutoffAt, staleTokens };
    const live = { state: 'live', ...times, created: false, knownClient: false, moved: null } as const;
    if (!track) return { answer: { ...live, lastSeenAt: known?.lastSeenAt ?? at }, ended: [] };

    const ended = wasLive ? [] : this.#makeRoom(call);
    if (ended === 'refused') return { answer: { state: 'refused' }, ended: [] };
    if (keepsRow) {
      this.#byHandle.set(handle, merged);
      return { answer: live, ended };
    }
    const knownClient = clientKey !== null && this.#clients.note(clientKey, at);
    const isFirstNoted = clientKey !== null && !knownClient && (rowBefore !== null || known === undefined);
    this.#byHandle.set(handle, { ...merged, hasNewClient: hasNewClient(rowBefore, merged, isFirstNoted) });
    const created = rowBefore === null;
    const moved = rowBefore === null ? null : movedFrom(rowBefore, merged);
    return { answer: { ...live, created, knownClient, moved }, ended };
  }

  live(call: Call): Kept[] {
    const live: Kept[] = [];
    for (const session of this.#byHandle.values()) {
      if (!isTombstone(session) && this.#isLive(session, call)) live.push(session);
    }
    return live.sort(compareListed);
  }

  findLive(handle: string, call: Call): Kept | undefined {
    const known = this.#byHandle.get(handle);
    return known === undefined || isTombstone(known) || !this.#isLive(known, call) ? undefined : known;
  }

  label(handle: string, label: string | null, call: Call): Kept | undefined {
    const known = this.findLive(handle, call);
    if (known === undefined) return undefined;
    const labelled = { ...known, label: keptLabel(label) };
    this.#byHandle.set(handle, labelled);
    return labelled;
  }

  revoke(request: RevokeRequest, call: Call): { outcome: RevokeOutcome; tombstone: Tombstone | null } {
    const { handle, token, evenUnseen = false } = request;
    const { at, policy, origin } = call;
    const known = this.#find(handle, call);
    const fromToken = token === undefined ? undefined : timesOf(token, at);
    const untilByToken = fromToken === undefined ? 0 : tombstoneUntil(fromToken, policy);
    const needed = Math.max(untilByToken, evenUnseen ? unseenUntil(at, policy) : 0);
    if (isTombstone(known)) return { outcome: 'already', tombstone: this.#extendTombstone(known, needed) };
    const times = known ?? fromToken;
    if (times === undefined && !evenUnseen) return { outcome: 'unknown', tombstone: null };

    const cutoff = known === undefined ? null : this.#cutoffOf(known, call);
    const endsAt = times === undefined ? null : expiresAt(times);
    const revoked = { cause: 'revoked', ...keptWords(request), at, expiresAt: endsAt, origin } as const;
    const ending = cutoff === null ? revoked : endingByCutoff(cutoff, endsAt);
    const until = Math.max(needed, times === undefined ? 0 : tombstoneUntil(times, policy));
    const tombstone = this.#writeTombstone({ handle, ending, until });
    return { outcome: cutoff === null ? 'ended' : 'already', tombstone };
  }

  /**
   * Sets a cutoff, which is in force from the first step on. Then makes tombstones of the sessions that it ends, a batch in
   * each step, and yields those that were live. Another cutoff must wait until the last step.
   */
  *setCutoff(cutoff: Cutoff, call: Call): Generator<EndedByCutoff[]> {
    const { at, policy } = call;
    const standing = { ...standingCutoff(this.#cutoff, cutoff), until: at + CUTOFF_FOR };
    if (standing.erasedAt > (this.#cutoff?.erasedAt ?? 0)) {
      this.#clients = new NotedClients();
      if (this.#staleTokens !== null) this.#staleTokens = asErased(this.#staleTokens, standing.erasedAt);
    }
    this.#cutoff = standing;
    const isErasing = cutoff.erasedAt >= cutoff.at && !cutoff.isRestored;
    const asKept = (ending: Ending): Ending => (isErasing ? withoutWords(ending) : asErased(ending, standing.erasedAt));
    let [ended, count]: [EndedByCutoff[], number] = [[], 0];
    for (const [handle, session] of this.#byHandle) {
      if (count === CUTOFF_BATCH) {
        yield ended;
        [ended, count] = [[], 0];
      }
      count += 1;
      const kept = stillKept(session, call);
      if (kept === undefined) this.#byHandle.delete(handle);
      if (kept === undefined) continue;
      if (isTombstone(kept)) {
        this.#writeTombstone({ ...kept, ending: asKept(kept.ending) });
        continue;
      }
      const endedBy = this.#cutoffOf(kept, call);
      if (endedBy === null) continue;
      const until = tombstoneUntil(kept, policy);
      const wasLive = endedBy === standing && decide(kept, policy, at).state === 'live';
      if (wasLive) ended.push({ handle, expiresAt: expiresAt(kept), until });
      this.#writeTombstone({ handle, ending: asKept(endingByCutoff(endedBy, expiresAt(kept))), until });
    }
    yield ended;
  }

  /** Makes tokens stale. Returns what stands by now, and whether it is news. */
  expireTokens(declared: StaleTokens, call: Call): { readonly standing: StaleTokens; readonly isNews: boolean } {
    const before = this.#staleAt(call);
    const standing = laterStale(before, declared) ?? declared;
    this.#staleTokens = standing;
    return { standing, isNews: before === null || before.at < standing.at };
  }

  /** For a message of an earlier time than the cutoff that stands: see `withoutException`. Returns what it ended. */
  endExcepted(message: Cutoff, call: Call): { readonly tombstone: Tombstone; readonly wasLive: boolean } | null {
    const standing = this.#cutoff;
    const changed = standing === null ? null : withoutException(standing, message.at);
    if (standing === null || changed === null) return null;
    this.#cutoff = { ...changed, until: standing.until };
    const known = this.#find(standing.except ?? '', call);
    if (known === undefined || isTombstone(known) || !beganUpTo(known.startedAt, message.at)) return null;
    const ending = endingByCutoff(message, expiresAt(known));
    const wasLive = decide(known, call.policy, call.at).state === 'live';
    const tombstone = { handle: known.handle, ending, until: tombstoneUntil(known, call.policy) };
    return { tombstone: this.#writeTombstone(tombstone), wasLive };
  }

  /** Writes a tombstone back. Returns it if it was missing. */
  restore(tombstone: Tombstone, call: Call): Tombstone | null {
    const known = this.#find(tombstone.handle, call);
    if (isTombstone(known)) {
      this.#extendTombstone(known, tombstone.until);
      return null;
    }
    if (tombstone.until < pastOf(call)) return null;
    const until = known === undefined ? tombstone.until : Math.max(tombstone.until, tombstoneUntil(known, call.policy));
    const ending = asErased(tombstone.ending, this.#cutoff?.erasedAt ?? 0);
    return this.#writeTombstone({ ...tombstone, ending, until });
  }

  pruneIfMany(call: Call): void {
    if (this.#byHandle.size >= this.#pruneAt) this.prune(call);
  }

  prune(call: Call): void {
    const past = pastOf(call);
    for (const [handle, session] of this.#byHandle) {
      const kept = stillKept(session, call);
      if (kept === undefined) this.#byHandle.delete(handle);
      else this.#byHandle.set(handle, kept);
    }
    if (this.#cutoff !== null && this.#cutoff.until < past) this.#cutoff = null;
    this.#staleTokens = this.#staleAt(call);
    this.#clients.prune(call.at);
    this.#pruneAt = Math.max(PRUNE_AT_LEAST, 2 * this.#byHandle.size);
  }

  isEmpty(): boolean {
    const hasNone = this.#byHandle.size === 0 && this.#cutoff === null && this.#staleTokens === null;
    return hasNone && this.#clients.isEmpty();
  }

  #find(handle: string, call: Call): Kept | Tombstone | undefined {
    const known = this.#byHandle.get(handle);
    if (known === undefined) return undefined;
    const kept = stillKept(known, call);
    if (kept === undefined) this.#byHandle.delete(handle);
    return kept;
  }

  #staleAt(call: Call): StaleTokens | null {
    const stale = this.#staleTokens;
    return stale !== null && stale.until < pastOf(call) ? null : stale;
  }

  /** What a store would have forgotten by now counts for nothing. */
  #withKnown(kept: Kept | undefined, use: KnownUse, token: TokenTimes, call: Call): KeptTimes | undefined {
    const known = withKnown(kept, use, token);
    return known === undefined || tombstoneUntil(known, call.policy) < pastOf(call) ? undefined : known;
  }

  #cutoffOf(session: JudgedByCutoff, { globalCutoff, policy }: Call): GlobalCutoff | null {
    return endingCutoff({ cutoff: this.#cutoff, globalCutoff }, session, policy);
  }

  /** If the session was over before this sighting, writes the tombstone that it would have got when it was due. */
  #endIfOver(handle: string, known: KeptTimes | undefined, inUseSince: number, call: Call): Tombstone | null {
    if (known === undefined) return null;
    const { at, policy, origin } = call;
    const until = tombstoneUntil(known, policy);
    const cutoff = this.#cutoffOf({ ...known, handle }, call);
    if (cutoff !== null)
      return this.#writeTombstone({ handle, ending: endingByCutoff(cutoff, expiresAt(known)), until });
    const standing = decide(known, policy, at, inUseSince);
    if (standing.state !== 'ended') return null;
    const { cause, since } = standing;
    const ending = { cause, reason: cause, by: null, at: since, expiresAt: expiresAt(known), origin };
    return this.#writeTombstone({ handle, ending, until });
  }

  /** The ending of a session that this token shows to be over. Null if it is live. If it has no origin, it is not kept. */
  #endingOf(known: KeptTimes | undefined, merged: Kept, inUseSince: number, call: Call): Ending | null {
    const { at, policy, origin } = call;
    const cutoff = this.#cutoffOf({ ...merged, survivedCutoffAt: known?.survivedCutoffAt }, call);
    if (cutoff !== null) {
      const ending = endingByCutoff(cutoff, expiresAt(merged));
      // Otherwise kept even if it was not on record: a token refreshed later would not show when the session began.
      const mayBeNew =
        known === undefined && cutoff === this.#cutoff && mayBeginAfterCutoff(cutoff, merged.startedAt, policy);
      return mayBeNew ? { ...ending, origin: null } : ending;
    }
    // By now it is known not to be idle, also if this sighting does not count as use.
    const standing = decide(merged, policy, at, inUseSince);
    if (standing.state === 'live') return null;
    const cause = standing.state === 'ended' ? standing.cause : 'expired';
    const isKept = known !== undefined && standing.state === 'ended';
    const words = { cause, reason: cause, by: null, at: standing.since } as const;
    return { ...words, expiresAt: expiresAt(merged), origin: isKept ? origin : null };
  }

  #isLive(session: Kept, call: Call): boolean {
    return this.#cutoffOf(session, call) === null && decide(session, call.policy, call.at).state === 'live';
  }

  /** Ends the sessions that were last seen longest ago, until there is room for one more. */
  #makeRoom(call: Call): readonly Tombstone[] | 'refused' {
    const { at, policy, origin } = call;
    if (this.#byHandle.size < policy.maxSessions) return [];
    const live = this.live(call);
    if (live.length < policy.maxSessions) return [];
    if (policy.atSessionLimit === 'refuse') return 'refused';
    const revoked = { cause: 'revoked', reason: 'session_limit', by: null, at, origin } as const;
    const tooMany = live.slice(policy.maxSessions - 1).reverse();
    return tooMany.map((session) => {
      const ending = { ...revoked, expiresAt: expiresAt(session) };
      return this.#writeTombstone({ handle: session.handle, ending, until: tombstoneUntil(session, policy) });
    });
  }

  #writeTombstone(tombstone: Tombstone): Tombstone {
    this.#byHandle.set(tombstone.handle, tombstone);
    return tombstone;
  }

  #extendTombstone(tombstone: Tombstone, until: number): Tombstone {
    return until > tombstone.until ? this.#writeTombstone({ ...tombstone, until }) : tombstone;
  }
}

function isTombstone(known: Kept | Tombstone | undefined): known is Tombstone {
  return known !== undefined && 'ending' in known;
}

/** Nothing is forgotten until both the caller's clock and the machine's agree, because one of them may have jumped. */
export function pastOf({ at }: Call): number {
  return Math.min(at, Date.now());
}

/** What is left of a session by now: nothing, or without its row. */
function stillKept(session: Kept | Tombstone, call: Call): Kept | Tombstone | undefined {
  const until = isTombstone(session) ? session.until : tombstoneUntil(session, call.policy);
  if (until < pastOf(call)) return undefined;
  return isTombstone(session) || !isRowOver(session, call) ? session : { ...session, ...NO_ROW };
}

/** Only the times are left: a token that takes the session on makes a new row. */
function isRowOver(session: Kept, call: Call): boolean {
  return rowUntil(session, call.policy) < pastOf(call);
}
