/** Events and store calls on `node:diagnostics_channel`, for monitoring. The channels' names are part of the public API. */

import { channel, type Channel } from 'node:diagnostics_channel';
import type { Emit, SessionEventName } from './core/events.js';
import type { SessionStore } from './stores/store.js';

/** Message of the channel `managed-sessions:store`. */
export interface StoreCall {
  readonly operation:
    | 'sight'
    | 'list'
    | 'get'
    | 'label'
    | 'revoke'
    | 'endIndexed'
    | 'revokeAll'
    | 'erase'
    | 'expireTokens'
    | 'restore'
    | 'endEverywhere'
    | 'catchUp'
    | 'isMessageUsed'
    | 'useMessage';
  /** In milliseconds. */
  readonly duration: number;
  readonly ok: boolean;
}

/** The channel of each event: its name in kebab-case. */
const EVENT_CHANNELS: Readonly<Record<SessionEventName, Channel>> = {
  sessionStarted: channel('managed-sessions:session-started'),
  sessionEnded: channel('managed-sessions:session-ended'),
  sessionMoved: channel('managed-sessions:session-moved'),
  tokenRefused: channel('managed-sessions:token-refused'),
  storeDown: channel('managed-sessions:store-down'),
  storeUp: channel('managed-sessions:store-up'),
  storeUnsafe: channel('managed-sessions:store-unsafe'),
  keysDown: channel('managed-sessions:keys-down'),
  keysUp: channel('managed-sessions:keys-up'),
  keySkipped: channel('managed-sessions:key-skipped'),
  sessionUnnamed: channel('managed-sessions:session-unnamed'),
  securityEvent: channel('managed-sessions:security-event'),
  tombstonesDropped: channel('managed-sessions:tombstones-dropped'),
};

const storeCalls = channel('managed-sessions:store');

/** Publishes each event after its listeners were called. The message is the event. */
export function published(emit: Emit): Emit {
  return function emitAndPublish(name, event) {
    emit(name, event);
    EVENT_CHANNELS[name].publish(event);
  };
}

/** The store. Its calls are published on `managed-sessions:store` if that channel has subscribers. */
export function measured(store: SessionStore): SessionStore {
  function measure<Answer>(operation: StoreCall['operation'], call: () => Promise<Answer>): Promise<Answer> {
    if (!storeCalls.hasSubscribers) return call();
    const startedAt = performance.now();
    function publish(ok: boolean): void {
      const message: StoreCall = { operation, duration: performance.now() - startedAt, ok };
      storeCalls.publish(message);
    }
    const answer = call();
    answer.then(
      () => publish(true),
      () => publish(false),
    );
    return answer;
  }

  return {
    origin: store.origin,
    settlesInTime: store.settlesInTime ?? false,
    configure: (settings) => store.configure(settings),
    sight: (user, request, onLate) => measure('sight', () => store.sight(user, request, onLate)),
    list: (user, request) => measure('list', () => store.list(user, request)),
    get: (user, handle, at, policy) => measure('get', () => store.get(user, handle, at, policy)),
    label: (user, handle, label, at, policy) => measure('label', () => store.label(user, handle, label, at, policy)),
    revoke: (user, request) => measure('revoke', () => store.revoke(user, request)),
    endIndexed: (id, request) => measure('endIndexed', () => store.endIndexed(id, request)),
    revokeAll: (user, request) => measure('revokeAll', () => store.revokeAll(user, request)),
    erase: (user, request) => measure('erase', () => store.erase(user, request)),
    expireTokens: (user, request) => measure('expireTokens', () => store.expireTokens(user, request)),
    restore: (user, known) => measure('restore', () => store.restore(user, known)),
    endEverywhere: (request) => measure('endEverywhere', () => store.endEverywhere(request)),
    catchUp: () => measure('catchUp', () => store.catchUp()),
    isMessageUsed: (id, at) => measure('isMessageUsed', () => store.isMessageUsed(id, at)),
    useMessage: (id, until, at) => measure('useMessage', () => store.useMessage(id, until, at)),
    feed: (listener) => store.feed(listener),
    health: () => store.health(),
    close: () => store.close(),
  };
}
