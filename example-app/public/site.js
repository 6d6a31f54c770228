// @ts-check
import { watchSession } from '/managed-sessions-client.js';

const isSignedIn = document.body.dataset.signedIn === 'true';
// The list of sessions watches its session itself.
const isWatched = document.querySelector('.managed-sessions') !== null;

/** An open tab says so as soon as its session ends, whichever device or administrator ended it. */
if (isSignedIn && !isWatched) {
  watchSession('/account/sessions/events', {
    onEnded: () => document.getElementById('signed-out')?.removeAttribute('hidden'),
  });
}
