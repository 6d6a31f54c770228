/** One line on stderr for an issuer whose keys cannot be fetched or found: nobody may be listening to the event. */

import { oneLine } from '../core/diagnosis.js';

/** The most issuers that are warned of in one process. */
const WARNED_LIMIT = 1_000;
/** The same for issuers that a function does not find: anybody can make up their names. */
const NOT_FOUND_LIMIT = 100;
const TEXT_LENGTH = 200;

const warned = new Set<string>();
const warnedNotFound = new Set<string>();

/**
 * Warns once per issuer and process, with the code `MANAGED_SESSIONS_KEYS_DOWN`. Of a URL, the message has the origin and
 * the path: a user, a password and a query may be secret. `jwksUri` is undefined if it is discovered.
 */
export function warnKeysDown(issuer: string, jwksUri: string | undefined, error: Error): void {
  const name = publicPart(issuer);
  const from = jwksUri === undefined ? 'found by discovery' : `at ${publicPart(jwksUri)}`;
  const id = JSON.stringify([issuer, from]);
  if (warned.has(id) || warned.size >= WARNED_LIMIT) return;
  warned.add(id);
  warn(
    `The keys of the issuer ${name}, ${from}, cannot be fetched: ${oneLine(withoutQueries(error.message))}. ` +
      'Until they can be, its tokens are answered with 503, or verified with the last good keys. ',
  );
}

/** The same for an issuer that the option `issuer`, a function, did not find because of this error. */
export function warnIssuerNotFound(issuer: string, error: Error): void {
  if (warnedNotFound.has(issuer) || warnedNotFound.size >= NOT_FOUND_LIMIT) return;
  warnedNotFound.add(issuer);
  warn(
    `${oneLine(withoutQueries(error.message))}. It was asked for the issuer ${publicPart(issuer)}, ` +
      'whose tokens are answered with 503 until it returns the options of this issuer, or null. ',
  );
}

function warn(message: string): void {
  process.emitWarning(`${message}This is said once; the event keysDown tells each time.`, {
    type: 'ManagedSessionsWarning',
    code: 'MANAGED_SESSIONS_KEYS_DOWN',
  });
}

/** Origin and path of a URL; a name that is not a URL, up to the first character that could begin a query. */
function publicPart(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const shown = url === undefined || url.origin === 'null' ? text.replace(/[?#].*$/s, '') : url.origin + url.pathname;
  return oneLine(shown).slice(0, TEXT_LENGTH);
}

/** URLs in a string, without user, password, query and fragment. */
function withoutQueries(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]{0,20}:\/\/)(?:[^\s"'/@]*@)?([^\s"'?#]*)(?:[?#][^\s"']*)?/gi, '$1$2');
}
