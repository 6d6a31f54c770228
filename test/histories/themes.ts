/** Schedules made for what random ones seldom reach. From a seed, like those, and of the same form. Pure. */

import type { Settings } from './history.js';
import { Dice, type Action, type Schedule, type Step } from './schedule.js';

export const THEMES = ['missed', 'loss', 'idle', 'cap', 'endings'] as const;
export type Theme = (typeof THEMES)[number];

const USUAL: Settings = {
  processes: 3,
  revocationBound: 1000,
  storeTimeout: 500,
  // So long that a process which is not told of an ending does not learn of it.
  activityInterval: 60_000,
  idleTimeout: null,
  clockTolerance: 1000,
  maxSessionsPerUser: 4,
  atSessionLimit: 'end-oldest',
  whenStoreDown: 'refuse',
};

export function isTheme(name: string): name is Theme {
  return THEMES.some((theme) => theme === name);
}

export function scheduleByTheme(theme: Theme, seed: number): Schedule {
  const dice = new Dice(seed);
  switch (theme) {
    case 'missed':
      return missed(seed, new Plan(dice));
    case 'loss':
      return loss(seed, new Plan(dice, 4));
    case 'idle':
      return idle(seed, new Plan(dice));
    case 'cap':
      return cap(seed, new Plan(dice));
    case 'endings':
      return endings(seed, new Plan(dice));
  }
}

class Plan {
  readonly #steps: Step[] = [];
  /** In an order that depends on the seed, so that a part is played by any of them. */
  readonly places: readonly number[];
  #sessions = 0;

  constructor(
    readonly dice: Dice,
    readonly processes = 3,
  ) {
    this.places = dice.some(processes, processes);
  }

  add(at: number, action: Action): void {
    this.#steps.push({ ...action, at: Math.round(at) });
  }

  signIn(at: number, user: number, place: number): number {
    const session = this.#sessions;
    this.#sessions += 1;
    this.add(at, { do: 'sign-in', session, user, place });
    return session;
  }

  /** Requests to each of the places. */
  use(session: number, places: readonly number[], from: number, to: number, every: number): void {
    for (const place of places) {
      for (let at = from + this.dice.between(0, every); at < to; at += every) {
        this.add(at, { do: 'request', session, place, fresh: false });
      }
    }
  }

  schedule(seed: number, settings: Partial<Settings>, healAt: number, endAt: number): Schedule {
    const steps = this.#steps.map((step, index) => ({ step, index }));
    steps.sort((a, b) => a.step.at - b.step.at || a.index - b.index);
    return {
      seed,
      settings: { ...USUAL, processes: this.processes, ...settings },
      withReplica: false,
      steps: steps.map(({ step }) => step),
      healAt,
      endAt,
    };
  }
}

/** A process is cut off while another ends sessions. When it is back, the other is gone, and so are its entries in the feed. */
function missed(seed: number, plan: Plan): Schedule {
  const { dice, places } = plan;
  const [ender = 0, cutOff = 0] = places;
  const sessions = Array.from({ length: 8 }, (_, index) => plan.signIn(index * 40, index % 4, dice.one(places)));
  for (const session of sessions) plan.use(session, places, 800, 10_500, 400);
  const direction = dice.one(['both', 'up', 'down'] as const);
  plan.add(2000, { do: 'link', how: 'blackhole', direction, places: [cutOff] });
  const ended = [0, 1, 2, 4];
  for (const [index, session] of ended.entries()) {
    plan.add(2200 + index * 30, { do: 'revoke', session, place: ender });
  }
  plan.add(2350, { do: 'revoke-all', user: 3, except: null, place: ender });
  plan.add(3100, { do: 'kill', place: ender });
  plan.add(3400, { do: 'trim', count: ended.length + 1 });
  plan.add(5500 + dice.between(0, 500), { do: 'heal', places: [cutOff] });
  plan.add(6300, { do: 'start', place: ender });
  return plan.schedule(seed, {}, 6500, 10_500);
}

/**
 * The store loses endings. Two processes do not know of them: one starts before they are written back, the other after it.
 * With odd seeds, whoever ended the sessions is gone, and the one that knows of it is cut off for a while.
 */
function loss(seed: number, plan: Plan): Schedule {
  const { dice, places } = plan;
  const [ender = 0, knower = 0, early = 0, late = 0] = places;
  const isCutOff = seed % 2 === 1;
  const endAt = 14_500;
  const sessions = Array.from({ length: 10 }, (_, index) => plan.signIn(index * 40, index % 5, dice.one(places)));
  for (const session of sessions) plan.use(session, places, 800, endAt, 500);
  const back = dice.one(['nothing', 'flush', 'saved'] as const);
  if (back === 'saved') plan.add(1700, { do: 'redis-save' });
  for (const place of [early, late]) plan.add(2000, { do: 'kill', place });
  const ended = sessions.slice(0, 5);
  for (const [index, session] of ended.entries()) {
    plan.add(2500 + index * 30, { do: 'revoke', session, place: isCutOff || index % 2 === 0 ? ender : knower });
  }
  const lostAt = 4000 + dice.between(0, 300);
  if (isCutOff) {
    plan.add(lostAt - 400, { do: 'kill', place: ender });
    plan.add(lostAt - 300, { do: 'link', how: 'blackhole', direction: 'both', places: [knower] });
  } else for (const session of ended) plan.use(session, [ender, knower], lostAt - 100, lostAt + 700, 50);
  if (back === 'flush') plan.add(lostAt, { do: 'flush' });
  else {
    const from = back === 'saved' ? { saved: 0 } : back;
    plan.add(lostAt, { do: 'redis-restart', from, ahead: null });
  }
  plan.add(lostAt + 100, { do: 'start', place: early });
  if (isCutOff) plan.add(lostAt + 2500, { do: 'heal', places: [knower] });
  for (const place of isCutOff ? [late, ender] : [late]) plan.add(lostAt + 4500, { do: 'start', place });
  return plan.schedule(seed, isCutOff ? {} : { activityInterval: 1000 }, lostAt + 4600, endAt);
}

/** Sessions in constant use through an outage that is longer than `idleTimeout`, and others that pause for longer. */
function idle(seed: number, plan: Plan): Schedule {
  const { dice, places } = plan;
  const endAt = 16_000;
  for (let user = 0; user < 5; user += 1) {
    const session = plan.signIn(user * 40, user, dice.one(places));
    plan.use(session, user < 3 ? places : [dice.one(places)], 600, endAt, user < 3 ? 900 : 350);
  }
  for (let user = 5; user < 9; user += 1) {
    const session = plan.signIn(user * 40, user, dice.one(places));
    plan.use(session, places, 600, 1500, 300);
    plan.use(session, [dice.one(places)], 9700, 11_500, 200);
  }
  for (let index = 0; index < 3; index += 1) {
    const session = plan.signIn(index * 40, 9, dice.one(places));
    plan.use(session, places, 600, endAt, 600);
    plan.add(1300, { do: 'revoke', session, place: dice.one(places) });
  }
  const from = 2000;
  const to = 8300;
  switch (seed % 4) {
    case 0:
    case 1:
      plan.add(from, { do: 'redis-stop' });
      plan.add(to, { do: 'redis-continue' });
      break;
    case 2:
      plan.add(from, { do: 'memory-full' });
      plan.add(to, { do: 'memory-back' });
      break;
    default:
      plan.add(from - 500, { do: 'redis-save' });
      plan.add(to, { do: 'redis-restart', from: { saved: 0 }, ahead: null });
  }
  const whenStoreDown = seed % 2 === 0 ? 'allow' : 'refuse';
  return plan.schedule(seed, { activityInterval: 1000, idleTimeout: 4000, whenStoreDown }, 8400, endAt);
}

/** Sign-ins above the cap, and no fault. One process has not seen the sessions that lose their place. */
function cap(seed: number, plan: Plan): Schedule {
  const { dice, places } = plan;
  const [one = 0, other = 0, asksLater = 0] = places;
  const endAt = 11_500;
  for (let user = 0; user < 4; user += 1) {
    for (let index = 0; index < 4; index += 1) {
      const session = plan.signIn(user * 30 + index * 150, user, one);
      plan.use(session, [one, other], 900, endAt, 500);
      plan.use(session, [asksLater], 3800, endAt, 500);
    }
    const last = plan.signIn(2400 + dice.between(0, 300), user, dice.one([one, other]));
    plan.use(last, places, 3000, endAt, 500);
  }
  return plan.schedule(seed, { revocationBound: 2000, storeTimeout: 1000 }, 500, endAt);
}

/** All ways to end sessions, soon after they began and later, and no fault. */
function endings(seed: number, plan: Plan): Schedule {
  const { dice, places } = plan;
  const endAt = 9500;
  const settings = { storeTimeout: 800 };
  for (let user = 0; user < 8; user += 1) {
    const [first = 0, second = 0, third = 0] = dice.some(3, 3);
    const beginsAt = user * 350;
    const sessions = [first, first, second].map((place, index) => plan.signIn(beginsAt + index * 20, user, place));
    // Known everywhere, or by those alone that were asked before.
    const isKnown = user % 2 === 1;
    const endsAt = beginsAt + (isKnown ? 1700 : 300);
    if (isKnown) for (const session of sessions) plan.use(session, places, beginsAt + 300, endsAt - 100, 300);
    const except = user % 4 < 2 ? (sessions[0] ?? null) : null;
    plan.add(endsAt, { do: 'revoke-all', user, except, place: dice.one([first, second]) });
    for (const session of sessions) plan.use(session, places, endsAt + 100, endAt, 600);
    const next = plan.signIn(endsAt + 2500, user, third);
    plan.use(next, places, endsAt + 3000, endAt, 600);
  }
  for (let user = 8; user < 12; user += 1) {
    const [first = 0, second = 0, third = 0] = dice.some(3, 3);
    const session = plan.signIn((user - 8) * 100, user, first);
    const isKnown = user % 2 === 1;
    plan.use(session, isKnown ? places : [first], 800, 2000, 300);
    plan.add(2100, { do: user < 10 ? 'logout' : 'revoke', session, place: first });
    // A second call ends nothing.
    plan.add(2800, { do: 'revoke', session, place: second });
    plan.use(session, isKnown ? places : [first, second], 2100, endAt, 500);
    plan.use(session, [third], 4500, endAt, 500);
  }
  if (seed % 2 === 0) plan.add(6200, { do: 'end-everywhere', place: dice.one(places) });
  return plan.schedule(seed, settings, 500, endAt);
}
