/** Reports a store that may evict what it keeps: by the event each time, and once in the life of the process by a warning. */

import type { Emit } from '../core/events.js';

let hasWarned = false;

export function reportEviction(policy: string, emit: Emit): void {
  emit('storeUnsafe', { problem: 'eviction', policy });
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `Redis has the maxmemory-policy ${policy}. When its memory is full, it evicts what says that sessions were ended, and ` +
      'these sessions come back. Set noeviction. This is said once; the event storeUnsafe tells each time.',
    { type: 'ManagedSessionsWarning', code: 'MANAGED_SESSIONS_EVICTION' },
  );
}
