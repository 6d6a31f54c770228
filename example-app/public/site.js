// @ts-check
import { watchSession } from '/managed-sessions-client/index.js';

/** Tells an open tab as soon as its session ends, whichever device or administrator ended it. */
if (document.body.dataset.signedIn === 'true') {
  watchSession('/account/sessions/events', { onEnded: showSignedOut });
}

function showSignedOut() {
  document.body.dataset.signedIn = 'false';
  document.getElementById('signed-out')?.removeAttribute('hidden');
}
