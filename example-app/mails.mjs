// @ts-check
/** The mails that the site would send. Each user reads the last ones on a page; they are kept in memory. */

import { deviceOf } from './frame.mjs';
import { locate } from './places.mjs';

const KEPT = 20;

/** @typedef {{ readonly at: Date, readonly subject: string, readonly text: string }} Mail */
/** @typedef {import('managed-sessions').ManagedSessions} ManagedSessions */

export function createMails() {
  /** @type {Map<string, readonly Mail[]>} */
  const boxes = new Map();

  /** @param {string} userId @returns {readonly Mail[]} latest first */
  const of = (userId) => boxes.get(userId) ?? [];

  /** @param {string} userId @param {Mail} mail */
  const send = (userId, mail) => void boxes.set(userId, [mail, ...of(userId)].slice(0, KEPT));

  /**
   * A client that this user was never seen with.
   * @param {ManagedSessions} sessions @param {import('managed-sessions').SessionStarted} event
   */
  async function onStarted(sessions, { user, handle, at, ip, app, knownClient }) {
    // Nobody wants a mail about a token that they have just made themselves.
    if (knownClient || app !== null) return;
    const { client } = await sessions.get(user.id, handle);
    const device = deviceOf(client);
    const place = ip === null ? null : locate(ip);
    send(user.id, {
      at,
      subject: `New sign-in: ${device}`,
      text: `Your account was used on a new device: ${device}${place === null ? '' : `, in ${place}`}. If this was not you, sign it out on your account page, and change your password.`,
    });
  }

  /**
   * `here` is true in one process only, so the mail is sent once.
   * @param {import('managed-sessions').SessionEnded} event
   */
  function onEnded({ user, at, by, here, cause }) {
    if (!here || cause !== 'revoked' || by === null || by === user.id) return;
    send(user.id, {
      at,
      subject: 'You were signed out',
      text: `An administrator (${by}) signed you out on one of your devices.`,
    });
  }

  return { of, onStarted, onEnded };
}
