/** Which sessions of the list share a row: those that people cannot tell apart. */

import type { PageSession } from './account.js';

/** In the order of the list. Each is one row, and has one session or more. */
export type FoldedRow = readonly [PageSession, ...PageSession[]];

/**
 * Sessions of the same client, system, device and place are one row, at the place of the first. A session with a label stands
 * alone; sessions of another app, or for which somebody else acts, are never in the row of others.
 */
export function foldSessions(
  sessions: readonly PageSession[],
  placeOf: (session: PageSession) => string | null,
): readonly FoldedRow[] {
  const rows = new Map<string, [PageSession, ...PageSession[]]>();
  for (const session of sessions) {
    const { handle, label, client, app, actor } = session;
    const alike = [client.kind, client.name, client.os, client.device, placeOf(session), app, actor];
    const key = JSON.stringify(label === null ? alike : handle);
    const row = rows.get(key);
    if (row === undefined) rows.set(key, [session]);
    else row.push(session);
  }
  return [...rows.values()];
}
