// @ts-check
/** The site's pages. Everything that is put into them is escaped, unless it is markup made here. */

class Markup {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

/** @type {Record<string, string>} */
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** @param {unknown} value @returns {string} */
function rendered(value) {
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(rendered).join('');
  return String(value ?? '').replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

/** @param {TemplateStringsArray} strings @param {unknown[]} values */
function html(strings, ...values) {
  return new Markup(strings.reduce((text, part, index) => text + rendered(values[index - 1]) + part));
}

const PAGES = [
  { path: '/orders', name: 'Orders' },
  { path: '/account/sessions', name: 'Account' },
];

/**
 * The frame of every page. The name in the navigation bar is put there by the browser, from the token.
 * @param {{ title: string, path?: string, signedIn: boolean, body: Markup }} page
 */
function frame({ title, path, signedIn, body }) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Tidemark</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/site.css" />
        <script type="module" src="/site.js"></script>
      </head>
      <body data-signed-in="${String(signedIn)}">
        <header class="bar">
          <a class="brand" href="/">Tidemark</a>
          ${signedIn ? memberBar(path) : html`<a class="button" href="/sign-in">Sign in</a>`}
        </header>
        <p id="signed-out" class="banner" role="alert" hidden>
          You have been signed out on this device. <a href="/sign-in">Sign in again</a>
        </p>
        <main>${body}</main>
      </body>
    </html> `.text;
}

/** @param {string | undefined} here */
function memberBar(here) {
  const links = PAGES.map(
    ({ path, name }) => html`<a href="${path}" ${path === here ? html` aria-current="page"` : ''}>${name}</a>`,
  );
  return html`<nav aria-label="Main">${links}</nav>
    <span class="who" id="who"></span>
    <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>`;
}

/** @param {string | undefined} name */
export function homePage(name) {
  return frame({
    title: 'Notebooks for wet weather',
    signedIn: name !== undefined,
    body: name === undefined ? welcome : hello(name),
  });
}

const welcome = html`<section class="hero">
  <h1>Notebooks for wet weather.</h1>
  <p>Stone paper, sewn by hand, written on in the rain. Sign in to follow your orders.</p>
  <p><a class="button" href="/sign-in">Sign in</a></p>
</section>`;

/** @param {string} name */
function hello(name) {
  return html`<section class="hero">
      <h1>Hello, ${name}.</h1>
      <p>Two things to do here today.</p>
    </section>
    <ul class="tiles">
      <li>
        <h2><a href="/orders">Your orders</a></h2>
        <p>What is on its way to you.</p>
      </li>
      <li>
        <h2><a href="/account/sessions">Where you’re signed in</a></h2>
        <p>Every browser and app that uses your account, and a way to sign each of them out.</p>
      </li>
    </ul>
    <p class="hint">
      Sign in from a second browser or a private window as well, sign one out from the other, and watch it happen.
    </p>`;
}

const PROBLEMS = {
  wrong: 'That user name and password do not go together.',
  unavailable: 'Signing in is not possible at the moment. Please try again shortly.',
};

/** @param {{ users: readonly { username: string, password: string }[], problem?: keyof typeof PROBLEMS, username?: string }} view */
export function signInPage({ users, problem, username = '' }) {
  return frame({
    title: 'Sign in',
    signedIn: false,
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
        To try it:${users.map((user) => html`<br /><code>${user.username}</code> with <code>${user.password}</code>`)}
      </p>
    </section>`,
  });
}

export function ordersPage() {
  return frame({
    title: 'Your orders',
    path: '/orders',
    signedIn: true,
    body: html`<h1>Your orders</h1>
      <ul id="orders" class="card orders" aria-live="polite">
        <li>One moment…</li>
      </ul>
      <noscript><p class="problem">This page needs JavaScript: it asks the JSON API.</p></noscript>`,
  });
}

/**
 * The account page around the list of sessions.
 * @param {string} sessions markup of managed-sessions, which escapes by itself
 * @param {{ name?: string, email?: string } | undefined} user absent if the list cannot be shown
 */
export function accountPage(sessions, user) {
  return frame({
    title: 'Your account',
    path: '/account/sessions',
    signedIn: user !== undefined,
    body: html`<h1>Your account</h1>
      ${user === undefined ? '' : html`<p class="hint">${user.name} · ${user.email}</p>`} ${new Markup(sessions)}`,
  });
}

/** @param {string} title @param {string} text */
export function problemPage(title, text) {
  return frame({
    title,
    signedIn: false,
    body: html`<section class="hero">
      <h1>${title}</h1>
      <p>${text}</p>
      <p><a class="button" href="/">To the front page</a></p>
    </section>`,
  });
}
