// @ts-check
/** The site's pages for everybody. */

import { frame, html, isAdmin, Markup, nameOf, timeOf } from './frame.mjs';

/** @typedef {import('./frame.mjs').User} User */

const THINGS_TO_TRY = html`<ol class="try">
  <li>
    Sign in as <b>ada</b> and open <b>Account</b>: her phone and another computer are signed in too, in Lisbon and in
    Osaka. Sign one of them out.
  </li>
  <li>Sign in from a second browser or a private window. Sign it out from the first one, and watch it happen.</li>
  <li>
    Sign in as <b>grace</b>, the administrator: end anybody’s sessions, or take the store away and see what follows.
  </li>
</ol>`;

/** @param {{ user: User | undefined, session?: import('managed-sessions').LoginSession | undefined }} view */
export function homePage({ user, session }) {
  return frame({
    title: 'Notebooks for wet weather',
    ...(user === undefined ? {} : { user }),
    body: user === undefined ? welcome : hello(user, session),
  });
}

const welcome = html`<section class="hero">
    <h1>Notebooks for wet weather.</h1>
    <p>Stone paper, sewn by hand, written on in the rain. Sign in to follow your orders.</p>
    <p><a class="button" href="/sign-in">Sign in</a></p>
  </section>
  <section class="card">
    <h2>What to try in this demo</h2>
    ${THINGS_TO_TRY}
  </section>`;

/** @param {User} user @param {import('managed-sessions').LoginSession | undefined} session */
function hello(user, session) {
  const tiles = [
    [
      '/account/sessions',
      'Where you’re signed in',
      'See every browser and app that uses your account, and sign out any.',
    ],
    ['/mails', 'Your mails', 'A sign-in on a new device was reported to you.'],
    ['/developers', 'The API', 'Get a token, use it with curl, and end it like any other session.'],
    ['/orders', 'Your orders', 'See what is on its way to you.'],
    ...(isAdmin(user) ? [['/admin', 'Administration', 'See and end anybody’s sessions; take the store away.']] : []),
  ];
  const issuedAt = new Date(Number(user.claims['iat']) * 1000);
  return html`<section class="hero"><h1>Hello, ${nameOf(user)}.</h1></section>
    <ul class="tiles">
      ${tiles.map(
        ([path, title, text]) =>
          html`<li>
            <h2><a href="${path}">${title}</a></h2>
            <p>${text}</p>
          </li>`,
      )}
    </ul>
    <section class="card">
      <h2>What to try in this demo</h2>
      ${THINGS_TO_TRY}
    </section>
    <p class="hint">
      Your session began ${session === undefined ? '' : timeOf(session.startedAt)}. Its token is from
      ${timeOf(issuedAt)}.
    </p>`;
}

const PROBLEMS = {
  wrong: 'The user name or the password is wrong.',
  unavailable: 'You cannot sign in at the moment. Please try again shortly.',
};

/** @param {{ users: readonly { username: string, password: string, name: string }[], problem?: keyof typeof PROBLEMS, username?: string }} view */
export function signInPage({ users, problem, username = '' }) {
  return frame({
    title: 'Sign in',
    body: html`<section class="card narrow">
      <h1>Sign in</h1>
      ${problem === undefined ? '' : html`<p class="problem" role="alert">${PROBLEMS[problem]}</p>`}
      <form method="post" action="/sign-in" class="stack">
        <label
          >User name <input name="username" value="${username}" autocomplete="username" autocapitalize="none" required
        /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        <button>Sign in</button>
      </form>
      <p class="hint">
        Demo users:${users.map((user) => html`<br /><code>${user.username}</code> with <code>${user.password}</code>`)}
      </p>
    </section>`,
  });
}

/** @param {{ user: User, orders: readonly { number: string, what: string, state: string }[] }} view */
export function ordersPage({ user, orders }) {
  const lines = orders.map(
    ({ number, what, state }) => html`<li><b>${what}</b> <span>Order ${number}</span> <em>${state}</em></li>`,
  );
  return frame({
    title: 'Your orders',
    path: '/orders',
    user,
    body: html`<h1>Your orders</h1>
      ${
        lines.length === 0
          ? html`<p class="hint">No orders yet.</p>`
          : html`<ul class="card lines">
              ${lines}
            </ul>`
      }`,
  });
}

/** @param {{ user: User, mails: readonly import('./mails.mjs').Mail[] }} view */
export function mailsPage({ user, mails }) {
  const letters = mails.map(
    ({ at, subject, text }) =>
      html`<article class="card mail">
        <p class="hint">To ${user.email ?? user.id} · ${timeOf(at)}</p>
        <h2>${subject}</h2>
        <p>${text}</p>
        <p><a href="/account/sessions">See where you’re signed in</a></p>
      </article>`,
  );
  return frame({
    title: 'Your mails',
    path: '/mails',
    user,
    body: html`<h1>Your mails</h1>
      <p class="hint">What a real site would send you by mail. It is shown here instead.</p>
      ${letters.length === 0 ? html`<p class="card">No mails yet.</p>` : letters}`,
  });
}

/**
 * @param {object} view
 * @param {User} view.user
 * @param {{ address: string, token: string, status: string, body: string }} [view.call] what was asked, and the answer
 */
export function developersPage({ user, call }) {
  return frame({
    title: 'The API',
    path: '/developers',
    user,
    body: html`<h1>The API</h1>
      <p class="hint">
        Programs send a token of their own. It is a session like that of a browser: you see it under
        <a href="/account/sessions">Account</a>, and you can end it there.
      </p>
      ${call === undefined ? '' : callOf(call)}
      <form method="post" action="/developers" class="actions"><button>Get a new API token</button></form>`,
  });
}

/** @param {{ address: string, token: string, status: string, body: string }} call */
function callOf({ address, token, status, body }) {
  return html`<section class="card">
    <h2>In a terminal</h2>
    <pre class="command" tabindex="0"><code>curl -H "Authorization: Bearer ${token}" ${address}</code></pre>
    <h2>The answer</h2>
    <pre tabindex="0"><code>${status}
${body}</code></pre>
    <p class="hint">This token is shown only here. End its session under Account, and then send the request again.</p>
    <form method="post" action="/developers" class="actions">
      <input type="hidden" name="token" value="${token}" /><button class="quiet">Send the request again</button>
    </form>
  </section>`;
}

/**
 * The account page around the list of sessions.
 * @param {string} sessions markup from managed-sessions, already escaped
 * @param {User | undefined} user absent if the list cannot be shown
 */
export function accountPage(sessions, user) {
  return frame({
    title: 'Your account',
    path: '/account/sessions',
    user: user ?? null,
    body: html`<h1>Your account</h1>
      ${user === undefined ? '' : html`<p class="hint">${user.name} · ${user.email}</p>`} ${new Markup(sessions)}`,
  });
}

/** @param {string} title @param {string} text */
export function problemPage(title, text) {
  return frame({
    title,
    body: html`<section class="hero">
      <h1>${title}</h1>
      <p>${text}</p>
      <p><a class="button" href="/">To the front page</a></p>
    </section>`,
  });
}

/** Nobody is signed out by an outage. The page loads itself again. */
export function unavailablePage() {
  return frame({
    title: 'One moment, please',
    user: null,
    reloadIn: 3,
    body: html`<section class="hero">
      <h1>One moment, please.</h1>
      <p>
        At the moment, we cannot check who you are. You have not been signed out. This page tries again every few
        seconds.
      </p>
    </section>`,
  });
}
