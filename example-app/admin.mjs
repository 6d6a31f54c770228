// @ts-check
/** What an administrator does with anybody's sessions. Each method that ends something is told who did it (`by`). */

import express from 'express';
import { adminPage, userPage } from './admin-pages.mjs';
import { DEMO_USERS } from './issuer.mjs';
import { locate } from './places.mjs';

/** @typedef {ReturnType<typeof import('./outage.mjs').withOutage>} Outage */

const REASON = 'administrator';

/**
 * @param {object} parts
 * @param {import('managed-sessions').ManagedSessions} parts.sessions
 * @param {Outage} parts.outage
 */
export function adminRouter({ sessions, outage }) {
  const router = express.Router();

  // The scope comes from the provider's token. This also refuses a form of another site: no route needs a token against that.
  router.use(sessions.required({ scope: 'sessions:admin' }));

  router.get('/', (req, res) => {
    res.send(
      adminPage({ user: req.user, users: DEMO_USERS, seconds: outage.seconds, secondsLeft: outage.secondsLeft() }),
    );
  });

  router.post('/outage', (_req, res) => {
    outage.begin();
    res.redirect(303, '/admin');
  });

  router.param('user', (_req, _res, next, id) => {
    next(DEMO_USERS.some((user) => user.id === id) ? undefined : 'route');
  });

  router.get('/users/:user', async (req, res) => {
    const { sessions: live } = await sessions.list(req.params.user, { limit: 200 });
    const places = live.map((session) => ({ ...session, location: session.ip === null ? null : locate(session.ip) }));
    const of = DEMO_USERS.find(({ id }) => id === req.params.user);
    res.send(userPage({ user: req.user, of, sessions: places, done: req.query['done'] }));
  });

  router.post('/users/:user/sessions/:handle/end', async (req, res) => {
    await sessions.revoke(req.params.user, req.params.handle, { reason: REASON, by: operator(req) });
    res.redirect(303, `/admin/users/${req.params.user}?done=ended`);
  });

  router.post('/users/:user/end', async (req, res) => {
    await sessions.revokeAll(req.params.user, { reason: REASON, by: operator(req) });
    res.redirect(303, `/admin/users/${req.params.user}?done=all`);
  });

  // For a role that was given or taken away: the sessions go on, with new tokens.
  router.post('/users/:user/expire-tokens', async (req, res) => {
    await sessions.expireTokens(req.params.user, { reason: REASON, by: operator(req) });
    res.redirect(303, `/admin/users/${req.params.user}?done=expired`);
  });

  return router;
}

/** @param {import('express').Request} req */
function operator(req) {
  return req.user?.id ?? 'unknown';
}
