// @ts-check
/** The pages of administrators. */

import { deviceOf, frame, html, timeOf } from './frame.mjs';

/** @typedef {import('./frame.mjs').User} User */

/**
 * @param {object} view
 * @param {User | undefined} view.user
 * @param {readonly { id: string, name: string, email: string }[]} view.users
 * @param {number} view.seconds for how long the store can be taken away
 * @param {number} view.secondsLeft 0 if it is not away
 */
export function adminPage({ user, users, seconds, secondsLeft }) {
  const lines = users.map(
    ({ id, name, email }) =>
      html`<li>
        <b>${name}</b> <span>${email}</span> <a class="button quiet" href="/admin/users/${id}">Sessions</a>
      </li>`,
  );
  return frame({
    title: 'Administration',
    path: '/admin',
    user: user ?? null,
    ...(secondsLeft === 0 ? {} : { reloadIn: 2 }),
    body: html`<h1>Administration</h1>
      <ul class="card lines">
        ${lines}
      </ul>
      <section class="card">
        <h2>What if the store cannot be reached?</h2>
        <p>
          Take it away for ${seconds} seconds. For up to 5 seconds, the site goes on with what it remembers. Then it
          answers 503, because it cannot know who has been signed out meanwhile. When the store is back, everybody goes
          on as before.
        </p>
        ${
          secondsLeft === 0
            ? html`<form method="post" action="/admin/outage" class="actions">
                <button class="alarm">Take the store away</button>
              </form>`
            : html`<p role="status">
                The store is away for another ${secondsLeft} seconds. This page loads itself again.
              </p>`
        }
      </section>`,
  });
}

/** @type {Record<string, string>} */
const DONE = {
  ended: 'The session has been ended.',
  all: 'All sessions have been ended.',
  expired: 'The tokens have expired. The sessions go on: each gets a new token with its next request.',
};

/**
 * @param {object} view
 * @param {User | undefined} view.user
 * @param {{ id: string, name: string, email: string } | undefined} view.of whose sessions these are
 * @param {readonly import('managed-sessions').SessionView[]} view.sessions
 * @param {unknown} view.done
 */
export function userPage({ user, of, sessions, done }) {
  const base = `/admin/users/${of?.id ?? ''}`;
  const message = typeof done === 'string' && Object.hasOwn(DONE, done) ? DONE[done] : undefined;
  return frame({
    title: `Sessions of ${of?.name ?? ''}`,
    path: '/admin',
    user: user ?? null,
    body: html`<p class="hint"><a href="/admin">Administration</a></p>
      <h1>Sessions of ${of?.name}</h1>
      ${message === undefined ? '' : html`<p class="done" role="status">${message}</p>`}
      ${
        sessions.length === 0
          ? html`<p class="card">No sessions.</p>`
          : html`<ul class="card lines">
              ${sessions.map((session) => sessionLine(session, base))}
            </ul>`
      }
      <div class="actions">
        <form method="post" action="${base}/end"><button class="alarm">End all sessions</button></form>
        <form method="post" action="${base}/expire-tokens"><button class="quiet">Expire the tokens</button></form>
      </div>
      <p class="hint">
        Expiring the tokens ends no session. It is for a role that was given or taken away: the old tokens are not
        accepted any more, and each session gets a new one.
      </p>`,
  });
}

/** @param {import('managed-sessions').SessionView} session @param {string} base */
function sessionLine({ handle, label, client, app, ip, location, lastSeenAt }, base) {
  const name = label ?? deviceOf(client);
  const from = [app, location, ip].filter((part) => part !== null).join(' · ');
  return html`<li>
    <b>${name}</b>
    <span>${from} · last seen ${timeOf(lastSeenAt)}</span>
    <form method="post" action="${base}/sessions/${handle}/end">
      <button class="quiet" aria-label="End the session of ${name}">End</button>
    </form>
  </li>`;
}
