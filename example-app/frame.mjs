// @ts-check
/** What all pages have in common. Every value in them is escaped, except markup that was made here. */

export class Markup {
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

/** @typedef {import('managed-sessions').LoginUser} User */

const PAGES = [
  { path: '/orders', name: 'Orders' },
  { path: '/mails', name: 'Mails' },
  { path: '/developers', name: 'API' },
  { path: '/account/sessions', name: 'Account' },
];
const ADMIN_PAGE = { path: '/admin', name: 'Admin' };

/**
 * @param {object} page
 * @param {string} page.title
 * @param {string} [page.path]
 * @param {User | null} [page.user] who is signed in; null if that cannot be told at the moment
 * @param {number} [page.reloadIn] in seconds
 * @param {Markup} page.body
 */
export function frame({ title, path, user, reloadIn, body }) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${reloadIn === undefined ? '' : html`<meta http-equiv="refresh" content="${reloadIn}" />`}
        <title>${title} · Tidemark</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/site.css" />
        <script type="module" src="/site.js"></script>
      </head>
      <body data-signed-in="${Boolean(user)}">
        <header class="bar">
          <a class="brand" href="/">Tidemark</a>
          ${user ? memberBar(user, path) : ''}
          ${user === undefined ? html`<a class="button" href="/sign-in">Sign in</a>` : ''}
        </header>
        <p id="signed-out" class="banner" role="alert" hidden>
          You have been signed out on this device. <a href="/sign-in">Sign in again</a>
        </p>
        <main>${body}</main>
      </body>
    </html> `.text;
}

/** @param {User} user @param {string | undefined} here */
function memberBar(user, here) {
  const pages = isAdmin(user) ? [...PAGES, ADMIN_PAGE] : PAGES;
  const links = pages.map(
    ({ path, name }) => html`<a href="${path}" ${path === here ? html` aria-current="page"` : ''}>${name}</a>`,
  );
  return html`<nav aria-label="Main">${links}</nav>
    <span class="who">${nameOf(user)}</span>
    <form method="post" action="/sign-out"><button class="quiet">Sign out</button></form>`;
}

/** Only for what is shown: the routes check the scope themselves. @param {User} user */
export function isAdmin({ claims }) {
  return String(claims['scope']).split(' ').includes('sessions:admin');
}

/** @param {User} user */
export function nameOf({ name, id }) {
  return name ?? id;
}

/** @param {Date | string} moment */
export function timeOf(moment) {
  const iso = new Date(moment).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`;
}

/** "Firefox on Windows". @param {import('managed-sessions').SessionView['client']} client */
export function deviceOf({ name, device, os }) {
  return [name ?? 'Unknown device', device ?? os].filter((part) => part !== null).join(' on ');
}
