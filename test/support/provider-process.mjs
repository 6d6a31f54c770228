// Sites in a process of their own, each with a configuration of docs/providers.md, on the built package:
// node provider-process.mjs '{ "redis": url, "keys": url, "app": folder }'. The folder has the page's code as modules.
// Over IPC it answers calls, { id, name, args } with { id, value } or { id, error }, and tells events, { event, site, ... }.

import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import express from 'express';
import { answerCalls } from './answer-calls.mjs';

const { redis, keys, app: folder } = JSON.parse(process.argv[2]);
const tell = (event, details) => process.connected && process.send({ event, ...details });

/** By name. */
const sites = new Map();
/** The site that is being opened: the page's code calls `managedSessions()` while it is imported. */
let opening;

/** What stands in for `managedSessions` in the page's code: its options, with local keys and this process's clock. */
globalThis.localOptions = (options) => {
  const { clock, keysAt, issuerName, more } = opening;
  const local = (issuer) => localIssuer(issuer, keysAt, issuerName);
  return {
    ...options,
    issuer:
      typeof options.issuer === 'function' ? async (iss) => local(await options.issuer(iss)) : local(options.issuer),
    clock,
    // A busy machine is not taken for a Redis that is away.
    storeTimeout: 5000,
    revocationBound: '20s',
    ...more,
  };
};
/** Declared in front of the page's code. */
globalThis.isCustomer = async () => true;

/**
 * Remembers where the page looks for the keys, and looks for them here, once: the clock is moved by days. A real provider
 * only has another name.
 */
function localIssuer(issuer, keysAt, issuerName) {
  if (issuer === null) return null;
  const { discover, jwksUri, ...rest } = issuer;
  if (jwksUri === undefined && discover !== true) return issuer;
  keysAt.add(jwksUri ?? `${issuer.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  return issuerName === undefined ? { ...rest, jwksUri: keys, keysMaxAge: '1y' } : { ...issuer, issuer: issuerName };
}

const calls = {
  /**
   * A new site `name` with the configuration that the page has for `shape`. `database`: its own in Redis. `now`: its clock.
   * `issuerName`: instead of the page's. `more`: further options of `managedSessions()`.
   */
  async open(name, { shape, database, env, now, issuerName, more }) {
    const clock = { at: now, now: () => clock.at };
    opening = { clock, keysAt: new Set(), issuerName, more };
    Object.assign(process.env, env, { REDIS_URL: `${redis}/${database}` });
    const { sessions } = await import(`${pathToFileURL(join(folder, `${shape}.mjs`))}?${name}`);
    sessions.on('sessionEnded', ({ handle, reason }) => tell('sessionEnded', { site: name, handle, reason }));
    sessions.on('sessionUnnamed', () => tell('sessionUnnamed', { site: name }));
    const app = express();
    app.use('/account/sessions', sessions.router());
    app.post('/logout', sessions.logout());
    // What it knows of the session is on record when it answers.
    app.get('/fresh', sessions.required({ fresh: true }), (req, res) => res.json({ handle: req.loginSession.handle }));
    sites.set(name, { sessions, app, clock, keysAt: opening.keysAt });
  },
  /** One request after the other, each [when, token]: what came of each. */
  async visit(name, visits) {
    const { sessions, clock } = sites.get(name);
    const outcomes = [];
    for (const [at, token] of visits) {
      clock.at = at;
      outcomes.push(
        await sessions.verify(token).then(
          ({ session, user }) => ({ outcome: 'live', handle: session.handle, user: user.id, issuer: user.issuer }),
          (error) => ({ outcome: error.code ?? String(error) }),
        ),
      );
    }
    return outcomes;
  },
  setClock(name, at) {
    sites.get(name).clock.at = at;
  },
  /** `revoke`, `revokeAll` or `endEverywhere`. */
  administer: (name, member, ...args) => sites.get(name).sessions[member](...args),
  keysAt: (name) => [...sites.get(name).keysAt],
  async close(name) {
    const { sessions } = sites.get(name);
    sites.delete(name);
    await sessions.close();
  },
};

const server = express()
  .use('/:site', (req, res, next) => sites.get(req.params.site).app(req, res, next))
  .listen(0, '127.0.0.1');
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
await once(server, 'listening');

answerCalls(calls);
tell('ready', { port: server.address().port });
