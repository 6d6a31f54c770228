/** What every response of the router, and every refusal, tells caches and browsers. */

import supertest from 'supertest';
import { describeEachFramework } from '../support/frameworks.js';
import { bearer, makeSite, sameOrigin, showLogin, tokenOf, type Site, type SiteOptions } from './site.js';

let site: Site;
afterEach(() => site.close());

const own = { ...bearer(tokenOf('s1')), ...sameOrigin };
const html = { Accept: 'text/html' };
const form = { ...own, 'Content-Type': 'application/x-www-form-urlencoded' };
const cookie = { Cookie: `login_token=${tokenOf('s1')}` };

type Method = 'get' | 'head' | 'options' | 'post' | 'put' | 'patch' | 'delete';

describeEachFramework((_framework, makeApp) => {
  test.each<[string, Method, string, Readonly<Record<string, string>>, number, SiteOptions?]>([
    ['the list', 'get', '/sessions', own, 200],
    ['the page', 'get', '/sessions', { ...own, ...html }, 200],
    ['HEAD', 'head', '/sessions', own, 200],
    ['one session', 'get', '/sessions/current', own, 200],
    ['a session that is unknown', 'get', '/sessions/AAAAAAAAAAAAAAAAAAAAAA', own, 404],
    ['a label that is invalid', 'patch', '/sessions/current', own, 400],
    ['an ending', 'delete', '/sessions/current', own, 204],
    ['the ending of all', 'delete', '/sessions', own, 200],
    ['a form', 'post', '/sessions/current/end', form, 303],
    ['another method', 'put', '/sessions', own, 405],
    ['OPTIONS', 'options', '/sessions', own, 204],
    ['no token', 'get', '/sessions', {}, 401],
    ['no token, for the page', 'get', '/sessions', html, 303, { loginUrl: '/login' }],
    ['another site', 'delete', '/sessions', { ...cookie, 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['a refusal of required()', 'get', '/', {}, 401],
    ['a bad token', 'get', '/', bearer('x'), 401],
    ['a redirect of required()', 'get', '/', html, 303, { loginUrl: '/login' }],
    ['another site at required()', 'post', '/', { ...cookie, 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['an answer of onRefused', 'get', '/', {}, 418, { onRefused: (_error, _req, res) => res.writeHead(418).end() }],
    ['logout()', 'post', '/logout', own, 204],
    ['GET of logout()', 'get', '/logout', own, 405],
    ['logout() from another site', 'post', '/logout', { 'Sec-Fetch-Site': 'cross-site' }, 403],
  ])('%s', async (_what, method, path, headers, status, options = {}) => {
    site = makeSite(options);
    const app = makeApp();
    app.mount('/sessions', site.router());
    app.mount('/logout', site.login.logout());
    app.mount('/', site.login.required(), showLogin);
    const answer = await supertest(app.listener)[method](path).set(headers);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  });
});
