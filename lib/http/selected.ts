/** Several sessions that one form names. */

import { isObject } from '../core/check.js';
import { isLoginError, LoginError } from '../core/errors.js';
import type { Handles } from '../core/handles.js';

/** As many as the longest page of the list. */
const MOST_SELECTED = 200;

/** In bytes: room for that many fields. */
export const SELECTED_BODY_LIMIT = 8192;

/** Not all at the same time: the sessions of other people are ended in between. */
const AT_ONCE = 16;

/**
 * The handles in the form's fields `handle`, each once. Throws `LoginError` `request_invalid` unless there are 1 to 200, all of
 * which could be handles.
 */
export function selectedIn(field: unknown, { meant }: Pick<Handles, 'meant'>): readonly string[] {
  // Some body parsers make an object of a long list.
  const given: unknown[] = isObject(field) ? Object.values(field) : [field].flat();
  const handles = new Set(given.filter((handle) => typeof handle === 'string'));
  const areValid = given.length <= MOST_SELECTED && given.every((handle) => meant(handle).length > 0);
  if (handles.size === 0 || !areValid) {
    throw new LoginError('request_invalid', `The form must name 1 to ${MOST_SELECTED} sessions in its fields "handle"`);
  }
  return [...handles];
}

/** Not atomic: safe to repeat. A session that is unknown, or has ended and was forgotten, counts as ended. */
export async function endSelected(handles: readonly string[], end: (handle: string) => Promise<void>): Promise<void> {
  for (let start = 0; start < handles.length; start += AT_ONCE) {
    await Promise.all(handles.slice(start, start + AT_ONCE).map((handle) => end(handle).catch(unlessUnknown)));
  }
}

function unlessUnknown(error: unknown): void {
  if (!isLoginError(error) || error.code !== 'session_not_found') throw error;
}
