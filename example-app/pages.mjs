// @ts-check
/** The site's pages. Every value in them is escaped, except markup that was made here. */

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
 * The frame of every page. A script in the browser reads the name in the navigation bar from the token.
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
      <p>Here are two things you can do.</p>
    </section>
    <ul class="tiles">
      <li>
        <h2><a href="/orders">Your orders</a></h2>
        <p>See what is on its way to you.</p>
      </li>
      <li>
        <h2><a href="/account/sessions">Where you’re signed in</a></h2>
        <p>See every browser and app that uses your account, and sign out any of them.</p>
      </li>
    </ul>
    <p class="hint">
      Sign in from a second browser or a private window too. Then sign one out from the other, and watch it happen.
    </p>`;
}

const PROBLEMS = {
  wrong: 'The user name or the password is wrong.',
  unavailable: 'You cannot sign in at the moment. Please try again shortly.',
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
        Demo users:${users.map((user) => html`<br /><code>${user.username}</code> with <code>${user.password}</code>`)}
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
      <noscript><p class="problem">This page needs JavaScript to load your orders.</p></noscript>`,
  });
}

/**
 * The account page around the list of sessions.
 * @param {string} sessions markup from managed-sessions, already escaped
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
