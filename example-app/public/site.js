// @ts-check
/* global EventSource */
import { parseLoginToken } from '/managed-sessions-client.js';

const token = document.body.dataset.signedIn === 'true' ? await askForToken() : null;
if (token !== null) {
  showName(token);
  watchSession();
  await showOrders(token);
}

/** Kept in memory only, for as long as the page is open. @returns {Promise<string | null>} */
async function askForToken() {
  const response = await fetch('/token').catch(() => null);
  if (response?.status === 401) showSignedOut();
  return response?.ok ? (await response.json()).token : null;
}

/** For display only: only the server verifies the token. @param {string} token */
function showName(token) {
  const claims = parseLoginToken(token);
  const who = document.getElementById('who');
  if (who !== null) who.textContent = String(claims?.name ?? claims?.sub ?? '');
}

/** The server ends the stream when the session ends. If it cannot be opened again, the response of `/token` says why. */
function watchSession() {
  const stream = new EventSource('/live');
  stream.addEventListener('signed-out', () => {
    stream.close();
    showSignedOut();
  });
  stream.addEventListener('error', () => {
    if (stream.readyState === EventSource.CLOSED) void askForToken();
  });
}

function showSignedOut() {
  document.body.dataset.signedIn = 'false';
  document.getElementById('signed-out')?.removeAttribute('hidden');
}

/** @param {string} token */
async function showOrders(token) {
  const list = document.getElementById('orders');
  if (list === null) return;
  const response = await fetch('/api/orders', { headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  const { orders } = response?.ok ? await response.json() : { orders: [] };
  if (orders.length > 0) list.replaceChildren(...orders.map(orderLine));
  else list.replaceChildren(line('li', response?.ok ? 'No orders yet.' : 'Your orders cannot be shown at the moment.'));
}

/** @param {{ number: string, what: string, state: string }} order */
function orderLine({ number, what, state }) {
  const item = line('li', '');
  item.append(line('b', what), line('span', `Order ${number}`), line('em', state));
  return item;
}

/** @param {string} name @param {string} text */
function line(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
