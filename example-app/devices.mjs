// @ts-check
/**
 * Two devices on which the demo user has been signed in for a while. They are real sessions: tokens of the provider, verified
 * and put on record by a `managedSessions` whose clock is set to the past.
 */

import { LoginError, managedSessions } from 'managed-sessions';

const HOUR = 60 * 60 * 1000;
const USER = 'usr_1';

const DEVICES = [
  {
    name: 'computer',
    signedInAgo: 9 * 24 * HOUR,
    usedAgo: 2 * 24 * HOUR,
    ip: '198.51.100.71',
    userAgent:
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0',
  },
  {
    name: 'phone',
    signedInAgo: 5 * HOUR,
    usedAgo: 1 * HOUR,
    ip: '203.0.113.24',
    userAgent:
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  },
];

/** With the last one, the device signed in a moment ago. Who ended it so often does not need it any more. */
const ATTEMPTS = 32;

/**
 * May run at every start, and in several processes at once: the sessions have fixed names. One that was ended stays ended, so the
 * device then signs in again, half as long ago: at some point that is later than any "sign out everywhere".
 *
 * @param {object} parts
 * @param {import('managed-sessions').IssuerOptions} parts.issuer
 * @param {import('managed-sessions').SessionStore} parts.store
 * @param {(userId: string, sid: string, at: number) => string} parts.tokenFrom
 * @param {(sessions: import('managed-sessions').ManagedSessions, event: import('managed-sessions').SessionStarted) => Promise<void>} parts.onStarted
 */
export async function prepareDevices({ issuer, store, tokenFrom, onStarted }) {
  const now = Date.now();
  let time = now;
  const past = managedSessions({ issuer, store, clock: { now: () => time } });
  /** @type {Promise<void>[]} */
  const told = [];
  past.on('sessionStarted', (event) => void told.push(onStarted(past, event)));

  for (const { name, signedInAgo, usedAgo, ip, userAgent } of DEVICES) {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const share = 2 ** -attempt;
      const token = tokenFrom(USER, `demo-${name}-${String(attempt)}`, now - signedInAgo * share);
      try {
        for (const ago of [signedInAgo, usedAgo]) {
          time = now - ago * share;
          await past.verify(token, { ip, userAgent });
        }
        break;
      } catch (error) {
        if (!(error instanceof LoginError && error.status === 401)) throw error;
      }
    }
  }
  await Promise.all(told);
  await past.close();
}
