// @ts-check
import { parseLoginToken } from '/managed-sessions-client.js';

const signedIn = document.body.dataset.signedIn === 'true';

/** Kept in memory alone. @type {Promise<string | null>} */
const token = signedIn
  ? fetch('/token', { headers: { Accept: 'application/json' } })
      .then((answer) => (answer.ok ? answer.json() : { token: null }))
      .then((body) => body.token)
      .catch(() => null)
  : Promise.resolve(null);

async function showName() {
  const claims = parseLoginToken(await token);
  const who = document.getElementById('who');
  if (who !== null && claims !== null) who.textContent = String(claims.name ?? claims.sub ?? '');
}

async function showOrders() {
  const list = document.getElementById('orders');
  if (list === null) return;
  const answer = await fetch('/api/orders', { headers: { Authorization: `Bearer ${await token}` } });
  const { orders = [] } = answer.ok ? await answer.json() : {};
  list.replaceChildren(
    ...orders.map((/** @type {{ number: string, what: string }} */ order) => {
      const item = document.createElement('li');
      const number = document.createElement('b');
      number.textContent = `#${order.number}`;
      item.append(number, ` ${order.what}`);
      return item;
    }),
  );
  if (orders.length === 0) list.textContent = answer.ok ? 'No orders yet.' : 'Your orders cannot be shown.';
}

/** The server ends this stream with the session. */
function watchSession() {
  const stream = new EventSource('/live');
  stream.addEventListener('signed-out', () => {
    stream.close();
    const banner = document.getElementById('signed-out');
    if (banner !== null) banner.hidden = false;
    document.body.dataset.signedIn = 'false';
  });
}

if (signedIn) {
  void showName();
  void showOrders();
  watchSession();
}
