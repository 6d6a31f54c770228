/** Makes the events about sessions that listeners get. */

import type { Emit, EventUser } from '../core/events.js';
import type { Ending, SessionUser, Sighting } from '../core/session.js';

/** Which session an event is about. */
interface Subject {
  readonly user: SessionUser;
  readonly handle: string;
}

export class Announcements {
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  started(of: Subject, { at, ip, userAgent }: Sighting, knownClient: boolean): void {
    this.#emit('sessionStarted', { ...named(of), at: new Date(at), ip, userAgent, knownClient });
  }

  moved(of: Subject, from: { ip: string | null; userAgent: string | null }, { at, ip, userAgent }: Sighting): void {
    this.#emit('sessionMoved', { ...named(of), at: new Date(at), from, to: { ip, userAgent } });
  }

  /** `here`: this process ended it. */
  ended(of: Subject, { cause, reason, by, at, expiresAt }: Ending, here: boolean): void {
    const moments = { at: new Date(at), expiresAt: expiresAt === null ? null : new Date(expiresAt) };
    this.#emit('sessionEnded', { ...named(of), ...moments, cause, reason, by, here });
  }
}

function named({ user: { subject, issuer }, handle }: Subject): { user: EventUser; handle: string } {
  return { user: { id: subject, issuer }, handle };
}
