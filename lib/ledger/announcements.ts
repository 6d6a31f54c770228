/** Makes the events about sessions that listeners get. */

import type { Emit, EventUser } from '../core/events.js';
import type { Handles } from '../core/handles.js';
import type { Ending, SessionUser, Sighting } from '../core/session.js';

/** Which session an event is about. */
interface Subject {
  readonly user: SessionUser;
  readonly handle: string;
}

export class Announcements {
  readonly #emit: Emit;
  readonly #handles: Pick<Handles, 'shown'>;

  constructor(emit: Emit, handles: Pick<Handles, 'shown'>) {
    this.#emit = emit;
    this.#handles = handles;
  }

  started(of: Subject, sighting: Sighting, knownClient: boolean): void {
    const { at, ip, userAgent, app = null, actor = null } = sighting;
    this.#emit('sessionStarted', { ...this.#named(of), at: new Date(at), ip, userAgent, app, actor, knownClient });
  }

  moved(of: Subject, from: { ip: string | null; userAgent: string | null }, { at, ip, userAgent }: Sighting): void {
    this.#emit('sessionMoved', { ...this.#named(of), at: new Date(at), from, to: { ip, userAgent } });
  }

  /** `here`: this process ended it. */
  ended(of: Subject, { cause, reason, by, at, expiresAt }: Ending, here: boolean): void {
    const moments = { at: new Date(at), expiresAt: expiresAt === null ? null : new Date(expiresAt) };
    this.#emit('sessionEnded', { ...this.#named(of), ...moments, cause, reason, by, here });
  }

  #named({ user: { subject, issuer }, handle }: Subject): { user: EventUser; handle: string } {
    return { user: { id: subject, issuer }, handle: this.#handles.shown(handle) };
  }
}
