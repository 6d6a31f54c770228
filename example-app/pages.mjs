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
export function html(strings, ...values) {
  return new Markup(strings.reduce((text, part, index) => text + rendered(values[index - 1]) + part));
}

/** Markup from a part that escapes by itself. @param {string} text */
export function markup(text) {
  return new Markup(text);
}

/**
 * The frame of every page. The name in the navigation bar is put there by the browser, from the token.
 * @param {{ title: string, signedIn: boolean, body: Markup, head?: Markup }} page
 */
export function frame({ title, signedIn, body, head = html`` }) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Fieldnotes</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/site.css" />
        <script type="module" src="/site.js"></script>
        ${head}
      </head>
      <body data-signed-in="${String(signedIn)}">
        <header class="bar">
          <a class="brand" href="/">Fieldnotes</a>
          <nav aria-label="Main">
            ${
              signedIn
                ? html`<a href="/orders">Orders</a>
                    <a href="/account/sessions">Devices</a>
                    <span class="who" id="who"></span>
                    <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>`
                : html`<a class="button" href="/sign-in">Sign in</a>`
            }
          </nav>
        </header>
        <div id="signed-out" class="banner" role="alert" hidden>
          You were signed out on this device. <a href="/sign-in">Sign in again</a>
        </div>
        <main>${body}</main>
      </body>
    </html>`.text.trim();
}

/** @param {{ name: string } | undefined} user */
export function homePage(user) {
  return frame({
    title: 'Home',
    signedIn: user !== undefined,
    body:
      user === undefined
        ? html`<section class="hero">
            <h1>Notebooks for people who work outdoors.</h1>
            <p>Waterproof paper, delivered. Sign in to see your orders and where you are signed in.</p>
            <p><a class="button" href="/sign-in">Sign in</a></p>
          </section>`
        : html`<section class="hero">
            <h1>Hello, ${user.name}.</h1>
            <p>
              Look at <a href="/orders">your orders</a>, or see
              <a href="/account/sessions">every device where you are signed in</a> and sign any of them out.
            </p>
            <p class="hint">
              Sign in from a second browser, or a private window, end one session from the other, and watch it happen.
            </p>
          </section>`,
  });
}

/** @param {{ users: readonly { username: string, password: string }[], failed?: boolean, unavailable?: boolean, username?: string }} view */
export function signInPage({ users, failed = false, unavailable = false, username = '' }) {
  const problem = failed
    ? 'That user name and password do not go together.'
    : unavailable
      ? 'Signing in is not possible at the moment. Try again shortly.'
      : '';
  return frame({
    title: 'Sign in',
    signedIn: false,
    body: html`<section class="card narrow">
      <h1>Sign in</h1>
      ${problem === '' ? '' : html`<p class="problem" role="alert">${problem}</p>`}
      <form method="post" action="/sign-in" class="stack">
        <label
          >User name <input name="username" autocomplete="username" required value="${username}" autofocus
        /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        <button>Sign in</button>
      </form>
      <p class="hint">
        Demo users:
        ${users.map((user, index) => html`${index > 0 ? ', ' : ''}<code>${user.username}</code> / <code>${user.password}</code>`)}
      </p>
    </section>`,
  });
}

export function ordersPage() {
  return frame({
    title: 'Orders',
    signedIn: true,
    body: html`<section class="card">
      <h1>Your orders</h1>
      <p class="hint">This page asks the JSON API with a bearer token.</p>
      <ul id="orders" class="orders" aria-live="polite">
        <li>Loading…</li>
      </ul>
    </section>`,
  });
}
