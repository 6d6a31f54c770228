/** What must hold in every simulation, whatever happens in it. Each rule is written once, with its exceptions. */

import type { LoginError } from '../../lib/core/errors.js';
import type { Ending, SessionRecord, Sighting } from '../../lib/core/session.js';
import type { Notice, RevokeAllRequest, RevokeRequest, SightAnswer, SightRequest } from '../../lib/stores/store.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import type { Setting } from './schedule.js';
import { BOUND, POLICY, type Operation, type Process, type Server } from './simulation.js';

export const RULES = {
  bound: 'An ending that was acknowledged is in force in every process within the bound.',
  return: 'What a process has refused as ended it never lets pass again.',
  answers: 'A request is let pass, refused, or cannot be judged. Once all is healed, it can.',
  'sign-out': 'Nobody is signed out whose session nobody ended and who used it without a pause.',
  once: 'A process tells of an ending once, and exactly one says that it was the one that ended it.',
  healed: 'Once all is healed, an ending that a living process knows is in force in all of them, also in a new one.',
  unnoticed:
    'The same if the server lost it, or its entry alone, and the feed of no process that knew could notice that.',
  lists: 'Once all is healed, a list shows what is live and on record, with the time of its last use.',
  stale:
    'A stale token is refused in every process within the bound, and for good. No other token is refused as stale.',
  dated: 'A cutoff is dated by the earlier of the clocks of the server and of the process, but after an earlier one.',
} as const;

export type Rule = keyof typeof RULES;

/** A loss of the kind of `unnoticed` shows only when somebody next asks. */
export const JUDGED = (Object.keys(RULES) as Rule[]).filter((rule) => rule !== 'unnoticed');

export interface Violation {
  readonly rule: Rule;
  readonly text: string;
}

/** One session of a simulation. */
export interface Session {
  readonly name: string;
  readonly handle: string;
  readonly userKey: string;
  readonly isTracked: boolean;
  /** Its tokens, the newest last. */
  readonly tokens: VerifiedToken[];
}

/** An ending as the server performed it. */
interface Ended {
  readonly origin: string;
  /** What was asked for. */
  readonly order: string;
  readonly covers: (session: Session, token: VerifiedToken) => boolean;
  /** Whether it may have ended the session: what is certain, and what depends on which clocks and data were lost. */
  readonly mayCover: (session: Session) => boolean;
  acknowledgedAt: number;
  isLost: boolean;
  /** The server still has it, but no longer tells of it. */
  isUntold: boolean;
}

/** A declaration that tokens are stale, as the server performed it. */
interface Stale {
  readonly origin: string;
  readonly userKey: string;
  readonly at: number;
  acknowledgedAt: number;
  isLost: boolean;
  isUntold: boolean;
}

/** What a process was asked, as far as the rules need it. */
interface Use {
  readonly at: number;
  readonly resolvedAt: number;
  /** It was let pass, while the store could be asked. */
  readonly isConfirmed: boolean;
}

/** What is known of a process that lives. */
interface Life {
  readonly process: Process;
  readonly refused: Map<string, string>;
  readonly told: Map<string, boolean>;
  readonly uses: Map<string, Use[]>;
  /** The tokens that it refused as stale. */
  readonly refusedStale: Set<VerifiedToken>;
  /** The users of whom it knew stale tokens when its feed noticed the last loss. */
  staleWrittenBack: Set<string>;
  isDown: boolean;
  wasDownAt: number;
  /** What it knew to be ended when its feed noticed the last loss: that is written back. */
  writtenBack: Set<string>;
  hasNoticedLoss: boolean;
}

export interface Asked {
  readonly life: Life;
  readonly session: Session;
  readonly token: VerifiedToken;
  readonly fresh: boolean;
  readonly arrivedAt: number;
  /** By the clock of the process. */
  readonly at: number;
  readonly wasRefused: string | undefined;
}

const secondOf = (moment: number): number => Math.floor(moment / 1000);

export class Rules {
  readonly violations: Violation[] = [];
  accepted = 0;
  refused = 0;
  hasLost = false;
  hasSetClocks = false;
  hasRestarted = false;
  readonly #setting: Setting;
  readonly #server: Server;
  readonly #elapsed: () => number;
  readonly #enabled: ReadonlySet<Rule>;
  readonly #sessions = new Map<string, Session>();
  readonly #lives = new Map<string, Life>();
  readonly #endings: Ended[] = [];
  readonly #stale: Stale[] = [];
  readonly #globalCutoffs: Ended[] = [];
  readonly #cutoffs = new Map<string, number>();
  /** When each session on record was last seen, as the store knows it. */
  #recorded = new Map<string, number>();
  /** The earliest time at which a process saw the session, by its clock. */
  readonly #firstSeenAt = new Map<string, number>();
  /** When a process was first asked about the session, in the time of the simulation. */
  readonly #askedAt = new Map<string, number>();
  readonly #wereLive = new Set<string>();
  /** What was written back for these users may not have been announced: the connection was cut between the two writes. */
  readonly #halfWrittenBack = new Set<string>();
  /** Named by a notice as live when it ended. */
  readonly #named = new Set<string>();
  readonly #isIdle = new Set<string>();
  /** The latest that a clock showed. */
  #latest = 0;

  constructor(setting: Setting, server: Server, elapsed: () => number, enabled: ReadonlySet<Rule>) {
    this.#setting = setting;
    this.#server = server;
    this.#elapsed = elapsed;
    this.#enabled = enabled;
    server.onTold = (origin, notices) => this.#told(origin, notices);
    server.onPerformed = (operation, answer, notices) => this.#performed(operation, answer, notices);
  }

  get recorded(): ReadonlyMap<string, number> {
    return this.#recorded;
  }

  add(session: Session): void {
    this.#sessions.set(session.handle, session);
  }

  began(process: Process): Life {
    const life = {
      process,
      refused: new Map(),
      told: new Map(),
      uses: new Map(),
      refusedStale: new Set<VerifiedToken>(),
      staleWrittenBack: new Set<string>(),
      isDown: false,
      wasDownAt: -Infinity,
      writtenBack: new Set<string>(),
      hasNoticedLoss: true,
    };
    this.#lives.set(process.origin, life);
    return life;
  }

  died({ process }: Life): void {
    this.#lives.delete(process.origin);
    this.hasRestarted = true;
  }

  violate(rule: Rule, text: string): void {
    if (this.#enabled.has(rule)) this.violations.push({ rule, text });
  }

  // What the server does

  #performed({ origin, name, about, sentAt }: Operation, answer: unknown, notices: readonly Notice[]): void {
    switch (name) {
      case 'sight': {
        for (const notice of notices)
          if (notice.kind === 'ended') this.#endedOne(origin, notice.tombstone.handle, 'limit');
        const request = about[1] as SightRequest;
        void (answer as Promise<SightAnswer>).then((sighted) => this.#sighted(origin, request, sighted, sentAt));
        return;
      }
      case 'revoke': {
        const { handle } = about[1] as RevokeRequest;
        if (notices.length > 0) this.#endedOne(origin, handle, `revoke ${handle}`);
        return;
      }
      case 'revokeAll': {
        const notice = notices.find(({ kind }) => kind === 'cutoff') as Extract<Notice, { kind: 'cutoff' }>;
        this.#endedAll(origin, notice, about[1] as RevokeAllRequest);
        return;
      }
      case 'expireTokens': {
        const notice = notices.find(({ kind }) => kind === 'stale') as Extract<Notice, { kind: 'stale' }>;
        const { user, staleTokens } = notice;
        const state = { acknowledgedAt: Infinity, isLost: false, isUntold: false };
        this.#stale.push({ origin, userKey: user.key, at: staleTokens.at, ...state });
        return;
      }
      case 'restore':
        for (const { user } of notices) this.#halfWrittenBack.add(user.key);
        return;
      case 'endEverywhere':
        this.#endedEverywhere(origin, this.#server.globalCutoff!.at);
        return;
      default:
    }
  }

  /** By the answer to its command, a process was told that it ended these. */
  #told(origin: string, notices: readonly Notice[]): void {
    for (const notice of notices) {
      this.#halfWrittenBack.delete(notice.user.key);
      if (notice.kind === 'stale') continue;
      if (notice.kind === 'cutoff') for (const { handle } of notice.ended) this.#named.add(handle);
      // Otherwise somebody else ended it, who may not have known that it was in use.
      else if (notice.tombstone.ending.origin === origin) this.#named.add(notice.tombstone.handle);
    }
  }

  #endedOne(origin: string, handle: string, order: string): void {
    const covers = (session: Session): boolean => session.handle === handle;
    this.#endings.push({
      origin,
      order,
      covers,
      mayCover: covers,
      acknowledgedAt: Infinity,
      isLost: false,
      isUntold: false,
    });
  }

  #endedAll(origin: string, { user, cutoff }: Extract<Notice, { kind: 'cutoff' }>, request: RevokeAllRequest): void {
    const { at, except } = cutoff;
    const earlier = this.#cutoffs.get(user.key) ?? 0;
    const latest = Math.max(Math.min(this.#server.now(), request.at), earlier + 1);
    if (at > latest) this.violate('dated', `a cutoff is dated ${at - latest} ms late`);
    this.#cutoffs.set(user.key, Math.max(earlier, at));
    const recorded = new Set(this.#recorded.keys());
    const seen = new Set(this.#firstSeenAt.keys());
    const isAbout = ({ userKey, handle }: Session): boolean => userKey === user.key && handle !== except;
    const ending: Ended = {
      origin,
      order: `revokeAll ${user.key} ${String(except)}`,
      covers: (session, token) => {
        if (!isAbout(session)) return false;
        const { beganAt } = token.times;
        return recorded.has(session.handle) || (beganAt !== null && secondOf(beganAt) < secondOf(at));
      },
      // A server that has lost it meanwhile does not tell which sessions were there before it was announced.
      mayCover: (session) =>
        isAbout(session) &&
        (seen.has(session.handle) ||
          (this.hasLost && this.#mayBeFoundEnded(session, at, ending)) ||
          this.#beganAt(session) < 1000 * secondOf(at)),
      acknowledgedAt: Infinity,
      isLost: false,
      isUntold: false,
    };
    this.#endings.push(ending);
  }

  /** A process that hears of a cutoff takes an answer that does not know it for an earlier one, unless it knew the cutoff. */
  #mayBeFoundEnded(session: Session, at: number, { acknowledgedAt }: Ended): boolean {
    const isInItsSecond = secondOf(this.#beganAt(session)) === secondOf(at);
    return isInItsSecond || (this.#askedAt.get(session.handle) ?? Infinity) <= acknowledgedAt;
  }

  #endedEverywhere(origin: string, at: number): void {
    const recorded = new Set(this.#recorded.keys());
    const ending: Ended = {
      origin,
      order: 'endEverywhere',
      covers: (session, { times: { beganAt } }) => {
        // If the first sighting is the start, the clock of the process decides.
        if (beganAt === null && this.hasSetClocks) return false;
        if (beganAt === null) return recorded.has(session.handle) && this.#beganAt(session) <= at;
        return beganAt <= at || (recorded.has(session.handle) && this.#beganAt(session) <= at);
      },
      mayCover: (session) => this.#beganAt(session) <= at + POLICY.clockTolerance,
      acknowledgedAt: Infinity,
      isLost: false,
      isUntold: false,
    };
    this.#endings.push(ending);
    this.#globalCutoffs.push(ending);
  }

  #sighted(origin: string, request: SightRequest, answer: SightAnswer, sentAt: number): void {
    const { handle, sighting, track = true } = request;
    if (answer.state === 'live' && track) {
      this.#recorded.set(handle, Math.max(this.#recorded.get(handle) ?? 0, sighting.at));
    }
    if (answer.state === 'ended') {
      if (answer.ending.cause === 'idle') this.#endedAsIdle(origin, handle, sighting, sentAt);
      this.#recorded.delete(handle);
    }
  }

  #endedAsIdle(origin: string, handle: string, { at }: Pick<Sighting, 'at'>, sentAt: number): void {
    const { idleTimeout } = this.#setting;
    if (this.#isIdle.has(handle) || idleTimeout === null) return;
    let usedAt = this.#recorded.get(handle) ?? -Infinity;
    let isPause = false;
    for (const use of this.#lives.get(origin)?.uses.get(handle) ?? []) {
      if (use.at > at || use.resolvedAt > sentAt) continue;
      // After a pause, no use counts until the store has called the session live, even if the clock was set back since.
      isPause = !use.isConfirmed && (isPause || use.at >= usedAt + idleTimeout);
      if (!isPause) usedAt = Math.max(usedAt, use.at);
    }
    if (at < usedAt + idleTimeout) {
      this.violate('sign-out', `session ${this.#nameOf(handle)} was ended as idle ${at - usedAt} ms after a use`);
    }
    this.#isIdle.add(handle);
  }

  // Endings that are acknowledged, and losses

  /** The process was told that it is done. */
  acknowledged({ origin }: Process, order: string): void {
    const stale = this.#stale.findLast((each) => each.origin === origin && order === `expireTokens ${each.userKey}`);
    if (stale !== undefined) stale.acknowledgedAt = Math.min(stale.acknowledgedAt, this.#elapsed());
    const done = this.#endings.findLast((ended) => ended.origin === origin && ended.order === order);
    if (done !== undefined) done.acknowledgedAt = Math.min(done.acknowledgedAt, this.#elapsed());
  }

  /** What the server knows, to be kept with a snapshot of it. */
  snapshot(): () => void {
    const recorded = new Map(this.#recorded);
    const acknowledged = new Set(this.#endings.filter(({ acknowledgedAt }) => acknowledgedAt < Infinity));
    const performed = new Set(this.#endings);
    const [staleAcknowledged, stalePerformed] = [
      new Set(this.#stale.filter(({ acknowledgedAt }) => acknowledgedAt < Infinity)),
      new Set(this.#stale),
    ];
    return () => {
      this.#recorded = new Map(recorded);
      for (const each of this.#stale) {
        if (staleAcknowledged.has(each)) continue;
        each.isLost = true;
        each.isUntold ||= stalePerformed.has(each);
      }
      this.#lose((ended) => !acknowledged.has(ended));
      for (const ended of performed) if (ended.isLost) ended.isUntold = true;
    };
  }

  flushed(): void {
    for (const each of this.#stale) each.isLost = true;
    this.#recorded.clear();
    this.#lose(() => true);
  }

  #lose(isLost: (ended: Ended) => boolean): void {
    this.hasLost = true;
    for (const ended of this.#endings) if (isLost(ended)) ended.isLost = true;
    for (const life of this.#lives.values()) {
      life.writtenBack.clear();
      life.staleWrittenBack.clear();
      life.hasNoticedLoss = false;
    }
  }

  /** The feed of the process has told that it missed something. */
  noticed(life: Life): void {
    life.hasNoticedLoss = true;
    for (const handle of life.refused.keys()) life.writtenBack.add(handle);
    for (const { user } of life.refusedStale) life.staleWrittenBack.add(user.key);
  }

  // Requests

  asked(life: Life, session: Session, token: VerifiedToken, fresh: boolean): Asked {
    const at = life.process.now();
    this.#latest = Math.max(this.#latest, at);
    const { handle } = session;
    this.#firstSeenAt.set(handle, Math.min(this.#firstSeenAt.get(handle) ?? Infinity, at));
    if (!this.#askedAt.has(handle)) this.#askedAt.set(handle, this.#elapsed());
    return { life, session, token, fresh, at, arrivedAt: this.#elapsed(), wasRefused: life.refused.get(handle) };
  }

  answered(asked: Asked, answer: 'live' | LoginError): void {
    if (answer === 'live') this.#passed(asked);
    else this.#refused(asked, answer.code);
  }

  #passed({ life, session, token, fresh, arrivedAt, at, wasRefused }: Asked): void {
    const { handle, name } = session;
    this.accepted += 1;
    this.#wereLive.add(handle);
    const wasDown = life.isDown || life.wasDownAt >= arrivedAt;
    const isConfirmed = !wasDown && !this.#isPause(life, handle, at);
    this.#used(life, handle, { at, resolvedAt: this.#elapsed(), isConfirmed });

    const isJudgedByClock = wasRefused !== undefined && wasRefused !== 'session_revoked' && this.hasSetClocks;
    if (wasRefused !== undefined && !isJudgedByClock && !this.#isOfLaterSignIn(session, token)) {
      this.violate('return', `session ${name} passes after this process had refused it (${wasRefused})`);
    }
    if (life.refusedStale.has(token)) this.violate('stale', `a token of ${name} passes that was refused as stale`);
    const { whenStoreDown } = this.#setting;
    const allowed =
      !wasDown || whenStoreDown === 'refuse' ? 0 : whenStoreDown === 'allow' ? Infinity : whenStoreDown.allowFor;
    for (const stale of this.#stale) {
      const late = arrivedAt - stale.acknowledgedAt;
      if (late <= (fresh ? 0 : BOUND + allowed) || stale.isLost || !this.#covers(stale, session, token)) continue;
      this.violate('stale', `a stale token of ${name} passes ${late} ms after that was acknowledged`);
    }
    for (const ended of this.#endings) {
      const late = arrivedAt - ended.acknowledgedAt;
      // The user's slot does not know the global cutoff, which the feed tells within the bound.
      const longest = fresh && !this.#globalCutoffs.includes(ended) ? 0 : BOUND + allowed;
      if (late <= longest || ended.isLost || !ended.covers(session, token)) continue;
      this.violate(
        'bound',
        `session ${name} passes ${late} ms after its end was acknowledged${fresh ? ', fresh' : ''}`,
      );
    }
  }

  #refused({ life, session, token, at, arrivedAt }: Asked, code: string): void {
    const { handle, name } = session;
    switch (code) {
      case 'token_stale':
        if (!this.mayBeStale(session, token)) this.violate('stale', `a good token of ${name} is refused as stale`);
        life.refusedStale.add(token);
        return;
      case 'store_unavailable':
        this.#used(life, handle, { at, resolvedAt: this.#elapsed(), isConfirmed: false });
        return;
      case 'session_limit':
        if (this.#setting.maxSessions >= 100) this.violate('answers', `session ${name} is one too many`);
        return;
      case 'session_revoked':
        if (!this.#mayBeEnded(session)) this.violate('sign-out', `session ${name} is refused, and nobody ended it`);
        break;
      case 'session_idle':
        if (!this.#isIdle.has(handle)) this.violate('sign-out', `session ${name} is refused as idle`);
        break;
      case 'session_expired':
        if (this.#latest < this.#beganAt(session) + (this.#setting.lifetime ?? Infinity)) {
          this.violate('sign-out', `session ${name} is refused as expired after ${arrivedAt} ms`);
        }
        break;
      default:
        this.violate('answers', `unexpected ${code}`);
    }
    this.refused += 1;
    life.refused.set(handle, code);
  }

  /** Whether a declaration that was performed covers the token. */
  mayBeStale(session: Session, token: VerifiedToken): boolean {
    return this.#stale.some((each) => this.#covers(each, session, token));
  }

  /** Whether a living process knows it, and every other one must. */
  isKnownStale(session: Session, token: VerifiedToken): boolean {
    const lives = [...this.#lives.values()];
    const { userKey } = session;
    if (this.#halfWrittenBack.has(userKey) || lives.every(({ refusedStale }) => !refusedStale.has(token))) return false;
    return this.#stale.some(
      (each) =>
        this.#covers(each, session, token) &&
        each.acknowledgedAt < Infinity &&
        !each.isUntold &&
        (!each.isLost || lives.some(({ staleWrittenBack }) => staleWrittenBack.has(userKey))),
    );
  }

  healedStale({ name }: Session, answer: 'live' | LoginError): void {
    if (answer === 'live') this.violate('stale', `a token of ${name}, known to be stale, passes once all is healed`);
  }

  #covers({ userKey, at }: Stale, session: Session, { times }: VerifiedToken): boolean {
    return userKey === session.userKey && secondOf(times.issuedAt ?? -Infinity) <= secondOf(at);
  }

  /** It may share the answer to an earlier request, although a pause since then ended the session. */
  #isPause({ uses }: Life, handle: string, at: number): boolean {
    const { idleTimeout } = this.#setting;
    const usedAt = Math.max(this.#recorded.get(handle) ?? -Infinity, ...(uses.get(handle) ?? []).map((use) => use.at));
    return idleTimeout !== null && usedAt > -Infinity && at >= usedAt + idleTimeout;
  }

  #used(life: Life, handle: string, use: Use): void {
    if (this.#setting.idleTimeout === null) return;
    const uses = life.uses.get(handle);
    if (uses === undefined) life.uses.set(handle, [use]);
    else uses.push(use);
  }

  #mayBeEnded(session: Session): boolean {
    return this.#endings.some((ended) => ended.mayCover(session));
  }

  /** A cutoff may refuse a session of which nothing is on record. A token that was issued later shows nothing of it. */
  #isOfLaterSignIn(session: Session, token: VerifiedToken): boolean {
    return !this.#endings.some((ended) => ended.covers(session, token));
  }

  #beganAt({ handle, tokens }: Session): number {
    return tokens[0]!.times.beganAt ?? this.#firstSeenAt.get(handle) ?? Infinity;
  }

  #nameOf(handle: string): string {
    return this.#sessions.get(handle)?.name ?? handle;
  }

  // What a process tells

  told(life: Life, name: string, event: unknown): void {
    if (name === 'storeDown') life.isDown = true;
    if (name === 'storeUp') {
      life.isDown = false;
      life.wasDownAt = this.#elapsed();
    }
    if (name !== 'sessionEnded') return;
    const { handle, cause, here } = event as { handle: string; here: boolean } & Ending;
    if (life.told.has(handle)) this.violate('once', `a process tells twice that ${this.#nameOf(handle)} ended`);
    life.told.set(handle, here);
    if (cause === 'revoked' && !life.refused.has(handle)) life.refused.set(handle, 'session_revoked');
    if (cause === 'idle') this.#endedAsIdle(life.process.origin, handle, { at: life.process.now() }, this.#elapsed());
    if (cause === 'revoked' && !this.#mayBeEnded(this.#sessions.get(handle)!)) {
      this.violate('sign-out', `the end of ${this.#nameOf(handle)} is told, and nobody ended it`);
    }
  }

  // Once all is healed

  /**
   * Sessions of which a living process knows that they were ended, by handle, and the rule for each. What was not
   * acknowledged may have no entry in the feed: a process learns of it when it next asks.
   */
  knownEnded(): Map<string, Rule> {
    const known = new Map<string, Rule>();
    const lives = [...this.#lives.values()];
    for (const session of this.#sessions.values()) {
      const { handle } = session;
      const endings = this.#endings.filter((ended) => ended.covers(session, session.tokens[0]!));
      const isAcknowledged = endings.some(({ acknowledgedAt }) => acknowledgedAt < Infinity);
      if (!isAcknowledged || lives.every(({ refused }) => refused.get(handle) !== 'session_revoked')) continue;
      const isUntold = endings.some((ended) => ended.isUntold) || this.#halfWrittenBack.has(session.userKey);
      const isNoticed =
        !endings.some(({ isLost }) => isLost) || lives.some(({ writtenBack }) => writtenBack.has(handle));
      known.set(handle, isNoticed && !isUntold ? 'healed' : 'unnoticed');
    }
    return known;
  }

  /** What each living process, and a new one, answered last about each session. */
  healed(
    session: Session,
    token: VerifiedToken,
    known: Rule | undefined,
    answers: readonly ('live' | LoginError)[],
  ): void {
    const { name, handle } = session;
    const codes = answers.map((answer) => (answer === 'live' ? answer : answer.code));
    if (codes.includes('store_unavailable')) this.violate('answers', `session ${name} still cannot be judged`);
    if (known !== undefined && codes.includes('live') && !this.#isOfLaterSignIn(session, token)) {
      this.violate(known, `session ${name}, known to be ended, gets ${codes.join(', ')}`);
    }
    const lives = [...this.#lives.values()];
    if (this.hasLost || this.hasRestarted || this.#globalCutoffs.length > 0 || !session.isTracked) return;
    const here = lives.filter(({ told }) => told.get(handle) === true).length;
    const isEnded = codes.every((code) => code === 'session_revoked');
    if (here > 1 || (isEnded && here === 0 && this.#named.has(handle) && this.#wereLive.has(handle))) {
      this.violate('once', `${here} processes say that they ended ${name}`);
    }
  }
  /** What a process shows of a user, and what it answers about each session at the same moment. */
  listed(
    life: Life,
    records: readonly SessionRecord[],
    isLive: ReadonlyMap<Session, boolean>,
    recorded: ReadonlyMap<string, number>,
    known: ReadonlyMap<string, Rule>,
  ): void {
    // Requests may take the place of other sessions, and other clocks find that a session was not used for long.
    if (this.#setting.maxSessions < 100 || this.hasSetClocks) return;
    // Otherwise what was lost is found when somebody next asks.
    if ([...this.#lives.values()].some(({ hasNoticedLoss }) => !hasNoticedLoss)) return;
    const shown = new Map(records.map((record) => [record.handle, record]));
    for (const [session, live] of isLive) {
      const { handle, name, isTracked, tokens } = session;
      const record = shown.get(handle);
      const isKnownEnded = !live && known.get(handle) === 'healed' && !this.#isOfLaterSignIn(session, tokens.at(-1)!);
      if (record !== undefined && (isKnownEnded || !isTracked)) this.violate('lists', `session ${name} is listed`);
      // It lapses without a request, and what was recorded before a loss was noticed is recorded again with the next one.
      if (this.hasLost || this.#setting.tokenFor < this.#elapsed() || !live) continue;
      if (record === undefined && recorded.has(handle)) this.violate('lists', `session ${name} is not listed`);
      const earlier = (life.uses.get(handle) ?? []).filter(({ resolvedAt }) => resolvedAt < this.#elapsed());
      const usedAt = Math.max(...earlier.map(({ at }) => at));
      if (record !== undefined && record.lastSeenAt < usedAt) this.violate('lists', `session ${name} was used later`);
    }
  }
}
