/** A history, arranged for the rules: what was known, reachable and lost at a moment. Pure. */

import type {
  EndingCalled,
  EventHeard,
  Fault,
  History,
  Life,
  ListRead,
  Pause,
  RequestMade,
  SessionInfo,
  Settings,
} from './history.js';

/** The codes with which a session is refused because it has ended. */
export const ENDED_CODES: ReadonlySet<string> = new Set(['session_revoked', 'session_expired', 'session_idle']);

export interface Span {
  readonly from: number;
  readonly to: number;
}

export function isEndedRefusal({ outcome }: RequestMade): boolean {
  return outcome.kind === 'refused' && ENDED_CODES.has(outcome.code);
}

/** The process judged the token as good: it let the request in, or could not tell. */
export function isUse({ outcome }: RequestMade): boolean {
  return outcome.kind === 'admitted' || (outcome.kind === 'refused' && outcome.code === 'store_unavailable');
}

/** The items by a key of theirs, in their order. */
export function grouped<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

export class Facts {
  readonly settings: Settings;
  readonly sessions: readonly SessionInfo[];
  readonly lives: readonly Life[];
  readonly requests: readonly RequestMade[];
  readonly endings: readonly EndingCalled[];
  readonly events: readonly EventHeard[];
  readonly lists: readonly ListRead[];
  readonly faults: readonly Fault[];
  readonly losses: readonly Fault[];
  readonly healedAt: number;
  /** How long after a fault the connections stand again, at the latest. */
  readonly heals: number;
  readonly epoch: number;
  readonly #byLife: ReadonlyMap<number, Life>;
  readonly #pauses: ReadonlyMap<number | null, readonly Pause[]>;
  readonly #requestsOf: ReadonlyMap<number, readonly RequestMade[]>;
  readonly #eventsOf: ReadonlyMap<string | null, readonly EventHeard[]>;
  readonly #storeDown: ReadonlyMap<number, readonly Span[]>;
  readonly #infos: ReadonlyMap<number, SessionInfo>;

  constructor({ settings, sessions, entries, epoch }: History) {
    const of = <Kind extends (typeof entries)[number]['kind']>(kind: Kind) =>
      entries.filter((entry): entry is Extract<(typeof entries)[number], { kind: Kind }> => entry.kind === kind);
    this.settings = settings;
    this.sessions = sessions;
    this.epoch = epoch;
    this.lives = of('life');
    this.requests = of('request').toSorted((a, b) => a.sentAt - b.sentAt);
    this.events = of('event').toSorted((a, b) => a.at - b.at);
    this.lists = of('list');
    this.faults = of('fault');
    this.losses = this.faults.filter(({ keptUntil }) => keptUntil !== null).toSorted((a, b) => a.from - b.from);
    this.healedAt = of('healed')[0]?.at ?? Infinity;
    this.heals = 1000 + 3 * settings.storeTimeout;
    this.#byLife = new Map(this.lives.map((life) => [life.life, life]));
    this.#pauses = grouped(of('pause'), ({ life }) => life);
    this.#requestsOf = grouped(this.requests, ({ session }) => session);
    this.#eventsOf = grouped(this.events, ({ handle }) => handle);
    this.endings = of('ending')
      .map((ending) => this.#effective(ending))
      .toSorted((a, b) => a.sentAt - b.sentAt);
    this.#storeDown = new Map(this.lives.map(({ life }) => [life, this.#downOf(life)]));
    this.#infos = new Map(sessions.map((info) => [info.session, info]));
  }

  /** A logout answers 204 for a token that is not good, and by a clock that is behind a new token is not good yet. */
  #effective(ending: EndingCalled): EndingCalled {
    const { as, life, sentAt, acknowledgedAt } = ending;
    const { behind } = this.clocksAhead(life, { from: sentAt, to: acknowledgedAt ?? sentAt });
    return as === 'logout' && behind > 0 ? { ...ending, acknowledgedAt: null } : ending;
  }

  /** When a process found the store out of reach, by what it told: also a busy machine brings that about. */
  #downOf(life: number): Span[] {
    const spans: Span[] = [];
    for (const { event, at } of this.events.filter((each) => each.life === life)) {
      if (event === 'storeDown') spans.push({ from: at - 2 * this.settings.storeTimeout, to: Infinity });
      if (event === 'storeUp' && spans.length > 0) spans.push({ from: spans.pop()!.from, to: at + this.heals });
    }
    return spans;
  }

  life(life: number): Life {
    const found = this.#byLife.get(life);
    if (found === undefined) throw new Error(`The history has no life ${life}`);
    return found;
  }

  info(session: number): SessionInfo {
    const found = this.#infos.get(session);
    if (found === undefined) throw new Error(`The history has no session ${session}`);
    return found;
  }

  requestsOf(session: number): readonly RequestMade[] {
    return this.#requestsOf.get(session) ?? [];
  }

  eventsOf(handle: string): readonly EventHeard[] {
    return this.#eventsOf.get(handle) ?? [];
  }

  /** How long a process (null: the one that holds the proxies) did nothing within a time. */
  paused(life: number | null, { from, to }: Span): number {
    let total = 0;
    for (const pause of this.#pauses.get(life) ?? []) {
      total += Math.max(0, Math.min(pause.to, to) - Math.max(pause.from, from));
    }
    return total;
  }

  /** The times in which something stood between a process and the store, with the time until it is connected again. */
  troubles(life: number): readonly Span[] {
    const { place, from } = this.life(life);
    const of = this.faults.filter(({ keepsFromStore }) => keepsFromStore === null || keepsFromStore.includes(place));
    const faults = [{ from, to: from }, ...of].map((span) => ({ from: span.from, to: span.to + this.heals }));
    return [...faults, ...(this.#storeDown.get(life) ?? [])];
  }

  isTroubled(life: number, { from, to }: Span): boolean {
    return this.troubles(life).some((trouble) => trouble.from < to && trouble.to > from);
  }

  /** Some process found the store out of reach. */
  wasStoreDown({ from, to }: Span): boolean {
    return [...this.#storeDown.values()].flat().some((down) => down.from < to && down.to > from);
  }

  /** The end of the last trouble that began before a moment; -Infinity if there was none. */
  troubledUntil(life: number, before: number): number {
    const ends = this.troubles(life)
      .filter(({ from }) => from < before)
      .map(({ to }) => to);
    return Math.max(-Infinity, ...ends);
  }

  hasLoss({ from, to }: Span): boolean {
    return this.losses.some((loss) => loss.from < to && loss.to > from);
  }

  /** By how much the clocks by which a cutoff is set were ahead (or behind, negative), at the most. */
  clocksAhead(life: number, { from, to }: Span): { readonly redis: number; readonly app: number; behind: number } {
    const { place } = this.life(life);
    const during = this.faults.filter((fault) => fault.from <= to && fault.to >= from);
    const redis = during.filter(({ fault }) => fault === 'redis-clock').map(({ ahead }) => ahead);
    const app = during
      .filter((fault) => fault.fault === 'app-clock' && fault.place === place)
      .map(({ ahead }) => ahead);
    return { redis: Math.max(0, ...redis), app: Math.max(0, ...app), behind: -Math.min(0, ...redis, ...app) };
  }

  isAppClockWrong({ from, to }: Span): boolean {
    return this.faults.some((fault) => fault.fault === 'app-clock' && fault.from < to && fault.to > from);
  }

  /** The second that the real clock shows at a moment. */
  secondAt(moment: number): number {
    return Math.floor((this.epoch + moment) / 1000);
  }

  /** Since when a process knows that a session is ended; Infinity: it does not. */
  knowsSince(life: number, session: number): number {
    const { handle } = this.info(session);
    const moments = [
      ...this.eventsOf(handle)
        .filter((event) => event.life === life && event.event === 'sessionEnded')
        .map(({ at }) => at),
      ...this.requestsOf(session)
        .filter((request) => request.life === life && isEndedRefusal(request))
        .map(({ at }) => at),
      ...this.endings
        .filter((ending) => ending.life === life && ending.session === session)
        .map(({ acknowledgedAt }) => acknowledgedAt ?? Infinity),
    ];
    return Math.min(Infinity, ...moments);
  }
}
