/** From a seed to what is done in a run, and when. Pure. */

import type { Settings } from './history.js';

export type Link = 'cut' | 'refuse' | 'blackhole' | 'delay';

/** What a Redis starts with: nothing, what it holds at that moment, or what it held at one of the last saves (0: the last). */
export type StartsWith = 'nothing' | 'all' | { readonly saved: number };

/** What is done with Redis: one thing after the other. */
export type RedisAction =
  | { readonly do: 'redis-stop' | 'redis-continue' | 'redis-save' | 'flush' | 'memory-full' | 'memory-back' }
  /** `ahead`: what its clock shows from then on, in milliseconds before (-) or after the machine's. Null: as before. */
  | { readonly do: 'redis-restart'; readonly from: StartsWith; readonly ahead: number | null }
  /** Deletes the latest entries of the feed, and nothing else. */
  | { readonly do: 'trim'; readonly count: number }
  | { readonly do: 'replica-lags' }
  | { readonly do: 'failover'; readonly ahead: number | null }
  | { readonly do: 'redis-clock'; readonly ahead: number };

export type Action =
  /** Issues the session's first token, and presents it. */
  | { readonly do: 'sign-in'; readonly session: number; readonly user: number; readonly place: number }
  | { readonly do: 'request'; readonly session: number; readonly place: number; readonly fresh: boolean }
  /** From now on a newer token is presented. */
  | { readonly do: 'refresh'; readonly session: number }
  | { readonly do: 'revoke'; readonly session: number; readonly place: number }
  | { readonly do: 'logout'; readonly session: number; readonly place: number }
  | { readonly do: 'revoke-all'; readonly user: number; readonly except: number | null; readonly place: number }
  | { readonly do: 'end-everywhere'; readonly place: number }
  | { readonly do: 'list'; readonly user: number; readonly place: number }
  | { readonly do: 'label'; readonly session: number; readonly place: number }
  | {
      readonly do: 'link';
      readonly how: Link;
      readonly direction: 'up' | 'down' | 'both';
      readonly places: readonly number[];
    }
  | { readonly do: 'heal'; readonly places: readonly number[] }
  | { readonly do: 'stop' | 'continue' | 'kill' | 'start'; readonly place: number }
  | { readonly do: 'block'; readonly place: number; readonly duration: number }
  | RedisAction
  | { readonly do: 'app-clock'; readonly place: number; readonly ahead: number };

export type Step = Action & { readonly at: number };

export interface Schedule {
  readonly seed: number;
  readonly settings: Settings;
  readonly withReplica: boolean;
  /** In the order of their times, which are milliseconds from the start. */
  readonly steps: readonly Step[];
  /** From then on everything is healed. */
  readonly healAt: number;
  readonly endAt: number;
}

export interface ScheduleOptions {
  readonly processes: number;
  /** How long faults are made, in milliseconds. */
  readonly duration: number;
  /** Whether the clock of Redis can be set. */
  readonly canSetRedisClock: boolean;
}

/** Numbers from 0 to 1 that depend on the seed alone. */
export function randomBy(seed: number): () => number {
  let state = seed >>> 0;
  return function next() {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sessions of these users are never ended by anybody, are few, and are in use all the time. */
const STEADY_USERS = 3;
/** Their sessions are ended and replaced. */
const CHANGING_USERS = 8;
/** They sign in above the cap. */
const CROWDED_USERS = 2;
const SESSIONS_PER_USER = 2;
/** Milliseconds between two requests of a steady session, each to the next place. */
const STEADY_EVERY = 300;
const TICK = 50;
const REQUESTS_PER_TICK = 4;

export class Dice {
  readonly next: () => number;

  constructor(seed: number) {
    this.next = randomBy(seed);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  between(from: number, to: number): number {
    return Math.round(from + this.next() * (to - from));
  }

  one<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!;
  }

  some(count: number, among: number): number[] {
    const left = Array.from({ length: among }, (_, index) => index);
    return Array.from({ length: count }, () => left.splice(Math.floor(this.next() * left.length), 1)[0]!);
  }
}

interface PlannedSession {
  readonly session: number;
  readonly user: number;
  endedAt: number;
}

export function scheduleOf(seed: number, options: ScheduleOptions): Schedule {
  const dice = new Dice(seed);
  const settings = settingsBy(dice, options.processes);
  const withReplica = dice.chance(0.35);
  const healAt = options.duration;
  const { revocationBound, storeTimeout, activityInterval } = settings;
  const endAt = healAt + 2 * revocationBound + 1.25 * activityInterval + 2 * storeTimeout + 2500;
  const draft = new Draft(dice, settings, options, withReplica);
  draft.use(endAt, healAt);
  draft.disturb(healAt);
  const steps = draft.steps.map((step, index) => ({ step, index }));
  steps.sort((a, b) => a.step.at - b.step.at || a.index - b.index);
  return { seed, settings, withReplica, steps: steps.map(({ step }) => step), healAt, endAt };
}

function settingsBy(dice: Dice, processes: number): Settings {
  const idleTimeout = dice.chance(0.4) ? 4000 : null;
  return {
    processes,
    revocationBound: dice.one([1000, 2000]),
    storeTimeout: dice.one([500, 800]),
    activityInterval: dice.one(idleTimeout === null ? [300, 1000, 5000] : [300, 1000]),
    idleTimeout,
    clockTolerance: 1000,
    maxSessionsPerUser: 4,
    atSessionLimit: dice.chance(0.75) ? 'end-oldest' : 'refuse',
    whenStoreDown: dice.one(['refuse', 'refuse', 'allow', { allowFor: 3000 }] as const),
  };
}

class Draft {
  readonly steps: Step[] = [];
  readonly #sessions: PlannedSession[] = [];

  constructor(
    readonly dice: Dice,
    readonly settings: Settings,
    readonly options: ScheduleOptions,
    readonly withReplica: boolean,
  ) {}

  add(at: number, action: Action): void {
    this.steps.push({ ...action, at: Math.max(0, Math.round(at)) });
  }

  #place(): number {
    return this.dice.between(0, this.options.processes - 1);
  }

  #signIn(at: number, user: number): PlannedSession {
    const planned = { session: this.#sessions.length, user, endedAt: Infinity };
    this.#sessions.push(planned);
    this.add(at, { do: 'sign-in', session: planned.session, user, place: this.#place() });
    return planned;
  }

  // What people do

  use(endAt: number, healAt: number): void {
    const { dice } = this;
    const endsEverywhereAt = dice.chance(0.15) ? dice.between(healAt / 3, healAt) : Infinity;
    for (let index = 0; index < STEADY_USERS * SESSIONS_PER_USER; index += 1) {
      const user = index % STEADY_USERS;
      this.#useSteadily(user, 0, Math.min(endsEverywhereAt, endAt));
      const again = endsEverywhereAt + this.settings.clockTolerance + 2500;
      if (again < endAt) this.#useSteadily(user, again, endAt);
    }
    const changing = this.#sessions.length;
    const due = new Map<number, number[]>();
    for (let index = 0; index < CHANGING_USERS * SESSIONS_PER_USER; index += 1) {
      const user = STEADY_USERS + (index % CHANGING_USERS);
      due.set(user, [...(due.get(user) ?? []), dice.between(0, 1000)]);
    }
    for (let at = 0; at < endAt; at += TICK) {
      const known = this.#sessions.slice(changing);
      if (at >= endsEverywhereAt && at < endsEverywhereAt + TICK) {
        this.add(at, { do: 'end-everywhere', place: this.#place() });
        for (const planned of known) this.#end(planned, at, due, at + this.settings.clockTolerance + 2500);
      }
      for (const [user, moments] of due) {
        for (const moment of moments.filter((each) => each <= at)) this.#signIn(Math.max(at, moment), user);
        due.set(
          user,
          moments.filter((each) => each > at),
        );
      }
      const live = known.filter(({ endedAt }) => endedAt > at);
      const ended = known.filter(({ endedAt }) => endedAt <= at);
      for (let count = 0; count < REQUESTS_PER_TICK; count += 1) {
        const among = ended.length > 0 && dice.chance(0.45) ? ended : live;
        if (among.length === 0) continue;
        const { session } = among === ended && dice.chance(0.5) ? dice.one(ended.slice(-12)) : dice.one(among);
        const fresh = dice.chance(0.03);
        this.add(at + dice.between(0, TICK), { do: 'request', session, place: this.#place(), fresh });
        if (dice.chance(0.01)) this.add(at, { do: 'refresh', session });
        if (dice.chance(0.01)) this.add(at, { do: 'label', session, place: this.#place() });
      }
      if (dice.chance(0.03)) {
        const user = dice.between(0, STEADY_USERS + CHANGING_USERS + CROWDED_USERS - 1);
        this.add(at, { do: 'list', user, place: this.#place() });
      }
      if (dice.chance((2 * TICK) / 1000) && at < healAt + 500) this.#endSomething(at, live, due);
      if (dice.chance((0.4 * TICK) / 1000)) this.#signIn(at, STEADY_USERS + CHANGING_USERS + dice.between(0, 1));
    }
  }

  /** One session that is used all the time, at each place in turn. */
  #useSteadily(user: number, from: number, to: number): void {
    const { session } = this.#signIn(from + this.dice.between(0, 300), user);
    let place = this.#place();
    for (let at = from + 600; at < to; at += STEADY_EVERY) {
      place = (place + 1) % this.options.processes;
      this.add(at + this.dice.between(0, 50), { do: 'request', session, place, fresh: false });
    }
    // Its next tokens belong to the same session.
    for (let at = from + 3000; at < to; at += 3000) this.add(at, { do: 'refresh', session });
  }

  #end(planned: PlannedSession, at: number, due: Map<number, number[]>, again: number): void {
    if (planned.endedAt <= at) return;
    planned.endedAt = at;
    due.get(planned.user)?.push(again);
  }

  #endSomething(at: number, live: readonly PlannedSession[], due: Map<number, number[]>): void {
    const { dice } = this;
    const changing = live.filter(({ user }) => user < STEADY_USERS + CHANGING_USERS);
    if (changing.length === 0) return;
    const chosen = dice.one(changing);
    const place = this.#place();
    const again = at + dice.between(50, 2500);
    const kind = dice.next();
    if (kind < 0.7) {
      this.add(at, { do: kind < 0.55 ? 'revoke' : 'logout', session: chosen.session, place });
      this.#end(chosen, at, due, again);
      return;
    }
    const except = kind < 0.85 ? chosen.session : null;
    this.add(at, { do: 'revoke-all', user: chosen.user, except, place });
    for (const planned of changing) {
      if (planned.user === chosen.user && planned.session !== except) this.#end(planned, at, due, again);
    }
  }

  /** Endings in a burst, so many that a reader of the feed can mistake one for another. */
  #burst(at: number, count: number): void {
    for (let index = 0; index < count; index += 1) {
      const live = this.#sessions.filter(
        ({ user, endedAt }) => user >= STEADY_USERS && user < STEADY_USERS + CHANGING_USERS && endedAt > at,
      );
      const begun = live.filter(({ session }) => this.steps.some((step) => isSignInBefore(step, session, at - 300)));
      if (begun.length === 0) return;
      const chosen = this.dice.one(begun);
      chosen.endedAt = at;
      this.add(at + index * 15, { do: 'revoke', session: chosen.session, place: this.#place() });
    }
  }

  // Faults

  disturb(healAt: number): void {
    const { dice } = this;
    const incidents = [
      ...['link', 'link', 'process', 'process', 'redis', 'redis', 'rollback', 'rollback', 'memory', 'trim'],
      ...(this.withReplica ? ['failover', 'failover', 'failover'] : []),
      ...['app-clock', ...(this.options.canSetRedisClock ? ['redis-clock'] : [])],
    ];
    for (let at = dice.between(1000, 2000); at < healAt - 1500;) {
      const lasts = Math.min(healAt - at - 500, dice.between(500, this.settings.idleTimeout === null ? 4500 : 7000));
      this.#incident(dice.one(incidents), at, lasts);
      at += dice.between(lasts / 2, lasts + 2000);
    }
  }

  #incident(kind: string, at: number, lasts: number): void {
    const { dice } = this;
    switch (kind) {
      case 'link':
        // Longer than the bound, and some of them not all: whoever is cut off does not learn what the others end.
        this.#cutOff(at, at + lasts + this.settings.revocationBound, dice.between(1, this.options.processes - 1));
        this.#burst(at + 300, 3);
        return;
      case 'process':
        this.#disturbProcess(at, lasts);
        return;
      case 'redis':
        this.#disturbRedis(at, lasts);
        return;
      case 'memory':
        this.add(at, { do: 'memory-full' });
        this.add(at + lasts, { do: 'memory-back' });
        return;
      case 'rollback':
        this.#rollBack(at, lasts);
        return;
      case 'failover':
        this.#failOver(at, lasts);
        return;
      case 'trim':
        this.#trim(at, lasts);
        return;
      case 'app-clock': {
        const place = this.#place();
        this.add(at, { do: 'app-clock', place, ahead: dice.one([-30_000, -2000, 1500, 3000, 20_000]) });
        this.add(at + lasts, { do: 'app-clock', place, ahead: 0 });
        return;
      }
      case 'redis-clock':
        this.add(at, { do: 'redis-clock', ahead: dice.one([-30_000, -2500, 3000, 10_000]) });
        this.add(at + lasts, { do: 'redis-clock', ahead: 0 });
    }
  }

  #cutOff(from: number, to: number, count: number): void {
    const { dice } = this;
    const places = dice.some(count, this.options.processes);
    const how = dice.one(['cut', 'refuse', 'blackhole', 'blackhole', 'delay'] as const);
    const direction = dice.one(['both', 'both', 'up', 'down'] as const);
    this.add(from, { do: 'link', how, direction, places });
    // New connections are refused: those that stand must go as well.
    if (how === 'refuse') this.add(from + 1, { do: 'link', how: 'cut', direction, places });
    this.add(to, { do: 'heal', places });
  }

  #disturbProcess(at: number, lasts: number): void {
    const place = this.#place();
    switch (this.dice.one(['kill', 'kill', 'stop', 'block'] as const)) {
      case 'kill':
        this.add(at, { do: 'kill', place });
        this.add(at + lasts, { do: 'start', place });
        return;
      case 'stop':
        this.add(at, { do: 'stop', place });
        this.add(at + lasts, { do: 'continue', place });
        return;
      case 'block':
        this.add(at, { do: 'block', place, duration: lasts });
    }
  }

  #disturbRedis(at: number, lasts: number): void {
    switch (this.dice.one(['stop', 'all', 'nothing', 'flush'] as const)) {
      case 'stop':
        this.add(at, { do: 'redis-stop' });
        this.add(at + lasts, { do: 'redis-continue' });
        return;
      case 'all':
        this.add(at, { do: 'redis-restart', from: 'all', ahead: null });
        return;
      case 'nothing':
        this.add(at, { do: 'redis-restart', from: 'nothing', ahead: null });
        return;
      case 'flush':
        this.add(at, { do: 'flush' });
    }
  }

  /** Back to a snapshot, with endings lost and new ones after it, while some processes may be cut off or away. */
  #rollBack(at: number, lasts: number): void {
    const { dice } = this;
    this.add(at, { do: 'redis-save' });
    const restartAt = at + lasts;
    const lost = dice.between(0, 3);
    if (dice.chance(0.6)) this.#away(at + lasts * 0.3, restartAt + dice.between(300, 3000));
    this.#burst(restartAt - 400, lost);
    const ahead = this.options.canSetRedisClock && dice.chance(0.6) ? -dice.between(500, 4000) : null;
    this.add(restartAt, { do: 'redis-restart', from: { saved: dice.chance(0.8) ? 0 : 1 }, ahead });
    this.#burst(restartAt + 250, lost + dice.between(-1, 1));
    if (ahead !== null) this.add(restartAt + 4000, { do: 'redis-clock', ahead: 0 });
  }

  /** Some processes cannot reach the store, or are killed. */
  #away(from: number, to: number): void {
    const { dice } = this;
    const kind = dice.next();
    if (kind < 0.7) this.#cutOff(from, to, dice.between(1, this.options.processes - 1));
    else this.#disturbProcess(from, to - from);
  }

  /** Some processes are cut off, and the entries that they missed are gone when they are back. */
  #trim(at: number, lasts: number): void {
    const { dice } = this;
    const count = dice.between(1, 3);
    this.#cutOff(at, at + lasts, dice.between(1, this.options.processes - 1));
    this.#burst(at + 200, count);
    this.add(at + lasts - 200, { do: 'trim', count });
    if (dice.chance(0.5)) this.#burst(at + lasts - 150, 1);
  }

  #failOver(at: number, lasts: number): void {
    const { dice } = this;
    const count = dice.between(1, 3);
    this.add(at, { do: 'replica-lags' });
    if (dice.chance(0.5)) this.#away(at + lasts * 0.5, at + lasts + dice.between(300, 2000));
    this.#burst(at + lasts - 300, count);
    const ahead = this.options.canSetRedisClock && dice.chance(0.6) ? -dice.between(500, 4000) : null;
    this.add(at + lasts, { do: 'failover', ahead });
    this.#burst(at + lasts + 150, count + dice.between(0, 1));
    if (ahead !== null) this.add(at + lasts + 4000, { do: 'redis-clock', ahead: 0 });
  }
}

function isSignInBefore(step: Step, session: number, at: number): boolean {
  return step.do === 'sign-in' && step.session === session && step.at < at;
}
