/** One issuer for the tests of this folder, and what its tokens meet. */

import { createSecretKey } from 'node:crypto';
import jwt from 'jsonwebtoken';
import type { Claims, LoginError, ManagedSessions, ManagedSessionsOptions, SessionEnded } from '../../lib/index.js';
import { managedSessions, redisStore } from '../../lib/index.js';
import type { SessionStore } from '../../lib/stores/store.js';
import { ManualClock } from '../support/issuer.js';
import { eventually } from '../support/redis.js';

export const SECRET = 'a secret for tests, 32 bytes long';
/** jsonwebtoken would first try to read a string as a private key, at each call. */
const KEY = createSecretKey(SECRET, 'utf8');
export const ISSUER = 'https://id.example.com/';
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** A token issued now by this clock, good for an hour unless the claims say otherwise; `exp: null` leaves it out. */
export function tokenOf(clock: { now(): number }, claims: Record<string, unknown> = {}): string {
  const now = Math.floor(clock.now() / 1000);
  const all: Record<string, unknown> = { iss: ISSUER, sub: 'ann', sid: 's1', iat: now, exp: now + 3600, ...claims };
  return jwt.sign(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)), KEY, {
    noTimestamp: all['iat'] === null,
  });
}

export type Options = Omit<Partial<ManagedSessionsOptions>, 'user'>;

/** So that a machine that is busy is not taken for a Redis that is away. */
const PATIENT: Options = { storeTimeout: 5000, revocationBound: '20s' };
/** For a Redis that is to be away: nobody waits long for it. What comes before is asked until it works. */
export const HASTY: Options = { storeTimeout: 500, revocationBound: '20s' };

/** Two app processes on one store, as far as anybody outside can tell. */
export class Processes {
  readonly clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  readonly here: ManagedSessions;
  readonly there: ManagedSessions;
  readonly endedHere: SessionEnded[] = [];
  readonly endedThere: SessionEnded[] = [];

  constructor(url: string, options: Options = {}) {
    const make = (): ManagedSessions =>
      managedSessions({
        issuer: { issuer: ISSUER, secret: SECRET, clockTolerance: 0 },
        store: redisStore(url),
        clock: this.clock,
        ...PATIENT,
        ...options,
      });
    [this.here, this.there] = [make(), make()];
    this.here.on('sessionEnded', (event) => this.endedHere.push(event));
    this.there.on('sessionEnded', (event) => this.endedThere.push(event));
  }

  get each(): readonly ManagedSessions[] {
    return [this.here, this.there];
  }

  async close(): Promise<void> {
    await Promise.all(this.each.map((sessions) => sessions.close()));
  }
}

/** `live`, or the code of the refusal. */
export async function ask(sessions: ManagedSessions, token: string): Promise<string> {
  return sessions.verify(token).then(
    () => 'live',
    (error: unknown) => (error as LoginError).code,
  );
}

export async function untilLive(sessions: ManagedSessions, token: string): Promise<void> {
  await eventually('it is live', async () => (await ask(sessions, token)) === 'live');
}

/** Sessions in memory, for what one process does. */
export function alone(clock: ManualClock, options: Options & { store?: SessionStore } = {}): ManagedSessions {
  return managedSessions({ issuer: { issuer: ISSUER, secret: SECRET, clockTolerance: 0 }, clock, ...options });
}

/** Reads a text claim. */
export function textOf(claims: Claims, name: string): string | undefined {
  const value = claims[name];
  return typeof value === 'string' ? value : undefined;
}
