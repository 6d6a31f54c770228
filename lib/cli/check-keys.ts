/** The keys of an issuer: where they come from, which of them are used, and what the clock of their server says. */

import { baseUrl } from '../tokens/discovery.js';
import { fetchKeySet, isUrl, type KeyLocation } from '../tokens/keys.js';
import type { IssuerOptions } from '../tokens/issuer.js';
import type { KeySource } from '../tokens/key-source.js';
import type { KeySet } from '../tokens/remote-keys.js';
import { ALGORITHMS, type VerificationKey } from '../tokens/verification-key.js';
import { shownDuration } from './clock.js';
import type { Report } from './findings.js';

/** As long as a request would wait for them, in milliseconds. */
const FETCH_TIMEOUT = 5_000;

export interface KeyCheck {
  readonly options: IssuerOptions;
  /** The keys by the rules that these options make. */
  readonly keys: KeySource;
  /** How far its clock may differ, in milliseconds. */
  readonly clockTolerance: number;
}

export async function checkKeys(check: KeyCheck, report: Report): Promise<void> {
  const { options, keys } = check;
  const location = locationOf(options);
  if (location === null) {
    reportConfigured(options, keys, report);
    return;
  }
  reportTransport(location, report);
  const sentAt = Date.now();
  const where = location instanceof URL ? location.origin + location.pathname : 'the URL that discovery names';
  const request = {
    algorithms: options.algorithms,
    signal: AbortSignal.timeout(FETCH_TIMEOUT),
    onResponse: (response: Response) => reportClock(response, sentAt, check, report),
  };
  try {
    const set = await fetchKeySet(location, request);
    if (!(location instanceof URL)) {
      report({
        about: 'keys',
        level: 'ok',
        code: 'discovery',
        says: `Discovery at ${location.discover} names a key set.`,
      });
    }
    reportSet(set, where, report);
  } catch (error) {
    reportFailure(error, location, report);
  }
}

function locationOf({ jwksUri, discover, issuer }: IssuerOptions): KeyLocation | null {
  if (jwksUri !== undefined) return new URL(isUrl(jwksUri) ? jwksUri.href : jwksUri);
  return discover === true && baseUrl(issuer) !== undefined ? { discover: issuer } : null;
}

function reportTransport(location: KeyLocation, report: Report): void {
  const { protocol, hostname } = location instanceof URL ? location : new URL(location.discover);
  if (protocol !== 'http:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return;
  const says = 'The keys come over http: whoever can change what is sent on the way can sign tokens.';
  report({
    about: 'keys',
    level: 'note',
    code: 'keys_over_http',
    says,
    advice: 'Use https, unless the network is yours alone.',
  });
}

/** A secret or public keys, which were checked when the rules were made. */
function reportConfigured({ secret }: IssuerOptions, keys: KeySource, report: Report): void {
  const usable = ALGORITHMS.filter((alg) => {
    try {
      return !(keys.candidates({ kid: undefined, alg }) instanceof Promise);
    } catch {
      return false;
    }
  });
  const what = secret === undefined ? 'publicKey' : 'secret';
  const says = `The option ${what} can be used, for ${usable.join(', ')}.`;
  report({ about: 'keys', level: 'ok', code: 'keys_configured', says });
}

function reportSet({ keys, skipped }: KeySet, where: string, report: Report): void {
  for (const key of keys) {
    const says = `${kindOfKey(key)}: used, for ${key.algorithms.join(', ')}.`;
    report({ about: 'keys', level: 'ok', code: 'key_used', name: key.kid ?? '(no kid)', says });
  }
  for (const { kid, index, why } of skipped) {
    const says = `Skipped: it ${why}.`;
    report({ about: 'keys', level: 'note', code: 'key_skipped', name: kid ?? `number ${String(index + 1)}`, says });
  }
  if (keys.length > 0) return;
  report({
    about: 'keys',
    level: 'problem',
    code: 'no_usable_key',
    says: `The key set at ${where} has no usable key, so every token is refused with 503.`,
    advice:
      'See why each key is skipped. Is it the key set of another service, or is the option algorithms too narrow?',
  });
}

function kindOfKey({ key }: VerificationKey): string {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined) return `RSA, ${String(modulusLength)} bits`;
  return namedCurve === undefined ? (key.asymmetricKeyType ?? 'a key') : `EC, ${namedCurve}`;
}

function reportFailure(error: unknown, location: KeyLocation, report: Report): void {
  const { message, cause } = error as Error;
  // What an endpoint answered is wrong, and not only missing.
  const level = cause === undefined ? 'problem' : 'unreachable';
  const says = `${message}. Until the keys can be fetched, tokens are refused with 503.`;
  const advice =
    location instanceof URL
      ? `Open ${location.origin}${location.pathname} from this machine: it must answer with a JSON object that has keys.`
      : `Open ${location.discover.replace(/\/$/, '')}/.well-known/openid-configuration from this machine. Its issuer must be ` +
        'exactly the option issuer, and its jwks_uri must answer with a JSON object that has keys. Or set jwksUri.';
  report({ about: 'keys', level, code: 'keys_unavailable', says, advice });
}

/** What is certain of the difference: the header counts whole seconds, and the response was under way for a while. */
function reportClock(response: Response, sentAt: number, { clockTolerance }: KeyCheck, report: Report): void {
  const date = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(date)) return;
  // A cache keeps the date of the response that it stored, and says how old that is.
  const age = response.headers.get('age') ?? '0';
  if (!/^\d{1,9}$/.test(age)) return;
  const theirs = date + 1000 * Number(age);
  const [least, most] = [theirs - Date.now(), theirs + 1000 - sentAt];
  const difference = least > clockTolerance ? least : most < -clockTolerance ? most : 0;
  if (difference === 0) {
    const says = `This machine's clock agrees with that of the key set's server, within ${shownDuration(clockTolerance)}.`;
    report({ about: 'clock', level: 'ok', code: 'clock_agrees', says });
    return;
  }
  const [how, what] =
    difference > 0
      ? ['behind', 'new tokens look as if they came from the future, and are refused with token_not_yet_valid']
      : ['ahead', 'tokens expire too early here'];
  report({
    about: 'clock',
    level: 'problem',
    code: 'clock_differs',
    says: `This machine's clock is ${shownDuration(Math.abs(difference))} ${how} that of the key set's server: ${what}.`,
    advice: 'Let every machine take its time from NTP. Do not raise clockTolerance for this.',
  });
}
