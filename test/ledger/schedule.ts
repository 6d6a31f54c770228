/** What happens in one simulation: made from a seed, plain data, and shrunk to what a violation needs. */

import type { WhenStoreDown } from '../../lib/ledger/ledger.js';

export interface Setting {
  readonly processes: number;
  readonly idleTimeout: number | null;
  readonly lifetime: number | null;
  /** When a session begins: by its tokens, or with its first sighting. */
  readonly began: 'iat' | 'first-seen';
  /** How long a token is good. */
  readonly tokenFor: number;
  readonly maxSessions: number;
  readonly atSessionLimit: 'end-oldest' | 'refuse';
  /** Every second session is not tracked. */
  readonly someUntracked: boolean;
  readonly whenStoreDown: WhenStoreDown;
}

/** What happens to the connections of a process, or to the process itself. */
export type AtProcess = 'round' | 'cut' | 'cutFeed' | 'settle' | 'hear' | 'part' | 'join' | 'restart';
export type AtServer = 'trim' | 'flush' | 'snapshot' | 'restore' | 'fill' | 'empty' | 'down' | 'up';

export type Step =
  /** `old`: with an earlier token of the session, if it has one. */
  | {
      readonly do: 'request';
      readonly process: number;
      readonly session: number;
      readonly fresh: boolean;
      readonly old: boolean;
    }
  /** Requests in a row, with everything that is on its way. */
  | {
      readonly do: 'use';
      readonly process: number;
      readonly session: number;
      readonly times: number;
      readonly every: number;
    }
  | { readonly do: 'revoke'; readonly process: number; readonly session: number; readonly withToken: boolean }
  | { readonly do: 'revokeAll'; readonly process: number; readonly session: number; readonly except: boolean }
  | { readonly do: 'endEverywhere'; readonly process: number }
  /** Tokens of the session's user become stale. */
  | { readonly do: 'expireTokens'; readonly process: number; readonly session: number }
  /** A new sign-in. The user gets a session more. */
  | { readonly do: 'signIn'; readonly session: number }
  /** The client gets a new token of the session. */
  | { readonly do: 'refresh'; readonly session: number }
  | { readonly do: 'commands' | 'feed'; readonly process: number; readonly choice: number }
  | { readonly do: AtProcess; readonly process: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: AtServer }
  /** Process -1 is the server. */
  | { readonly do: 'clock'; readonly process: number; readonly ahead: number };

export interface Schedule {
  readonly setting: Setting;
  readonly steps: readonly Step[];
}

/** What may happen beside requests, endings and messages that come late or never. */
export interface Faults {
  readonly everywhere: boolean;
  readonly loss: boolean;
  readonly full: boolean;
  readonly outage: boolean;
  readonly clocks: boolean;
  readonly restart: boolean;
}

export const FAULTS: readonly (keyof Faults)[] = ['everywhere', 'loss', 'full', 'outage', 'clocks', 'restart'];

/** Numbers from a seed: mulberry32. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }
}

/** The same seed makes the same schedule. Each schedule has some of the allowed faults, so that each is seen without the others. */
export function scheduleOf(seed: number, allowed: readonly (keyof Faults)[] = FAULTS): Schedule {
  const random = new Random(seed);
  random.next();
  const faults = Object.fromEntries(FAULTS.map((fault) => [fault, allowed.includes(fault) && random.chance(0.3)]));
  const setting = settingOf(random);
  const makers = weighted(setting, faults as unknown as Faults);
  const length = 5 + random.below(random.chance(0.3) ? 55 : 25);
  return { setting, steps: Array.from({ length }, () => random.of(makers)(random)) };
}

function settingOf(random: Random): Setting {
  return {
    processes: random.chance(0.4) ? 3 : 2,
    idleTimeout: random.chance(0.4) ? 40_000 : null,
    lifetime: random.chance(0.2) ? 150_000 : null,
    began: random.chance(0.2) ? 'first-seen' : 'iat',
    tokenFor: random.chance(0.2) ? 45_000 : 30 * 86_400_000,
    maxSessions: random.chance(0.2) ? 1 + random.below(2) : 100,
    atSessionLimit: random.chance(0.5) ? 'end-oldest' : 'refuse',
    someUntracked: random.chance(0.15),
    whenStoreDown: random.chance(0.6) ? 'refuse' : random.of<WhenStoreDown>(['allow', { allowFor: 30_000 }]),
  };
}

type Maker = (random: Random) => Step;

const SPANS = [1, 200, 900, 1_100, 2_500, 5_001, 11_000];
const AHEAD = [0, 0, 2_000, -2_000, 7_000, -7_000, 3_600_000, -3_600_000];

function weighted({ processes, idleTimeout }: Setting, faults: Faults): readonly Maker[] {
  const makers: Maker[] = [];
  const add = (weight: number, maker: Maker): void => {
    for (let count = 0; count < weight; count += 1) makers.push(maker);
  };
  const process = (random: Random): number => random.below(processes);
  const session = (random: Random): number => random.below(6);
  const at =
    (name: AtProcess): Maker =>
    (random) => ({ do: name, process: process(random) });
  const once =
    (name: AtServer): Maker =>
    () => ({ do: name });

  add(14, (random) => ({
    do: 'request',
    process: process(random),
    session: session(random),
    fresh: random.chance(0.3),
    old: random.chance(0.1),
  }));
  add(3, (random) => ({
    do: 'use',
    process: process(random),
    session: session(random),
    times: 2 + random.below(6),
    every: random.of([1_000, 4_000, 9_000]),
  }));
  add(3, (random) => ({
    do: 'revoke',
    process: process(random),
    session: session(random),
    withToken: random.chance(0.7),
  }));
  add(2, (random) => ({
    do: 'revokeAll',
    process: process(random),
    session: session(random),
    except: random.chance(0.5),
  }));
  add(1, (random) => ({ do: 'expireTokens', process: process(random), session: session(random) }));
  add(1, (random) => ({ do: 'signIn', session: session(random) }));
  add(2, (random) => ({ do: 'refresh', session: session(random) }));
  add(8, (random) => ({ do: 'commands', process: process(random), choice: random.below(6) }));
  add(6, (random) => ({ do: 'feed', process: process(random), choice: 0 }));
  add(4, at('round'));
  // Whole exchanges, so that few steps lead to where single messages matter.
  add(8, at('settle'));
  add(6, at('hear'));
  add(1, at('cut'));
  add(1, at('cutFeed'));
  add(6, (random) => ({ do: 'advance', ms: random.of(SPANS) }));
  if (idleTimeout !== null) add(1, () => ({ do: 'advance', ms: idleTimeout + 1 }));
  add(1, once('trim'));
  if (faults.everywhere) add(1, (random) => ({ do: 'endEverywhere', process: process(random) }));
  if (faults.loss) {
    add(1, once('flush'));
    add(3, once('snapshot'));
    add(2, once('restore'));
  }
  if (faults.full) {
    add(2, once('fill'));
    add(2, once('empty'));
  }
  if (faults.outage) {
    add(1, once('down'));
    add(1, once('up'));
    add(2, at('part'));
    add(2, at('join'));
  }
  if (faults.clocks) {
    add(3, (random) => ({ do: 'clock', process: random.below(processes + 1) - 1, ahead: random.of(AHEAD) }));
  }
  if (faults.restart) add(2, at('restart'));
  return makers;
}

/** The usual setting: a violation that needs no other is shown with this one. */
const PLAIN: Setting = {
  processes: 2,
  idleTimeout: null,
  lifetime: null,
  began: 'iat',
  tokenFor: 30 * 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
  someUntracked: false,
  whenStoreDown: 'refuse',
};

/** A schedule with fewer steps that fails too: no step of it can be left out. */
export async function shrink(schedule: Schedule, fails: (schedule: Schedule) => Promise<boolean>): Promise<Schedule> {
  let smallest = schedule;
  const attempt = async (next: Schedule): Promise<boolean> => {
    if (!(await fails(next))) return false;
    smallest = next;
    return true;
  };
  for (let before = Infinity; smallest.steps.length < before;) {
    before = smallest.steps.length;
    for (let size = before; size >= 1; size = Math.floor(size / 2)) {
      for (let at = smallest.steps.length - size; at >= 0; at -= size) {
        const steps = smallest.steps.filter((_, index) => index < at || index >= at + size);
        await attempt({ ...smallest, steps });
      }
    }
    for (const name of Object.keys(PLAIN) as (keyof Setting)[]) {
      if (smallest.setting[name] === PLAIN[name]) continue;
      await attempt({ ...smallest, setting: { ...smallest.setting, [name]: PLAIN[name] } });
    }
    for (const [index, step] of smallest.steps.entries()) {
      for (const simpler of simplerThan(step)) {
        await attempt({ ...smallest, steps: smallest.steps.with(index, simpler) });
      }
    }
  }
  return smallest;
}

function simplerThan(step: Step): Step[] {
  switch (step.do) {
    case 'request':
      return [
        { ...step, old: false },
        { ...step, fresh: false, old: false },
        { ...step, session: 0 },
        { ...step, process: 0 },
      ];
    case 'use':
      return [{ do: 'request', process: step.process, session: step.session, fresh: false, old: false }];
    case 'revokeAll':
      return [
        { do: 'revoke', process: step.process, session: step.session, withToken: true },
        { ...step, except: false },
      ];
    case 'commands':
      return step.choice === 0
        ? []
        : [
            { ...step, choice: 0 },
            { do: 'settle', process: step.process },
          ];
    default:
      return [];
  }
}
