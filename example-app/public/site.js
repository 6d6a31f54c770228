// @ts-check
/* global EventSource */

if (document.body.dataset.signedIn === 'true') watch();

/** The server ends the stream when the session ends. If it cannot be opened again, the session has ended meanwhile. */
function watch() {
  const stream = new EventSource('/live');
  stream.addEventListener('signed-out', () => {
    stream.close();
    showSignedOut();
  });
  stream.addEventListener('error', async () => {
    if (stream.readyState !== EventSource.CLOSED) return;
    const response = await fetch('/api/orders').catch(() => null);
    if (response?.status === 401) showSignedOut();
  });
}

function showSignedOut() {
  document.body.dataset.signedIn = 'false';
  document.getElementById('signed-out')?.removeAttribute('hidden');
}
