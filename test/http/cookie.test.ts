import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { createCookieClearer, createLoginCookie, type CookieOptions } from '../../lib/http/cookie.js';
import { request } from './sent.js';

const NOW = Date.UTC(2026, 2, 1, 9);
const GONE = 'Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax';

function written(options: CookieOptions, { https = true, name = 'login_token' } = {}): unknown {
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  const parts = { clock: { now: () => NOW }, isSecure: () => https };
  // It lasts for whole seconds, and never longer than the token.
  createLoginCookie(name, options, parts).write(req, res, 'a.b.c', NOW + 60_999);
  return res.getHeader('Set-Cookie');
}

function cleared(name: string, options: CookieOptions): unknown {
  const res = new ServerResponse(new IncomingMessage(new Socket()));
  createCookieClearer(name, options)(res);
  return res.getHeader('Set-Cookie');
}

const always = 'login_token=a.b.c; Max-Age=60';
const host = `__Host-${always}`;
const until = 'Expires=Sun, 01 Mar 2026 09:01:00 GMT; HttpOnly';

test.each<[string, CookieOptions, object, string]>([
  ['on https', {}, {}, `${host}; Path=/; ${until}; Secure; SameSite=Lax`],
  ['on http', {}, { https: false }, `${always}; Path=/; ${until}; SameSite=Lax`],
  [
    'with path and domain',
    { path: '/shop', domain: 'example.com' },
    {},
    `${always}; Domain=example.com; Path=/shop; ${until}; Secure; SameSite=Lax`,
  ],
  ['strict', { sameSite: 'strict' }, {}, `${host}; Path=/; ${until}; Secure; SameSite=Strict`],
  ['SameSite=None on http', { sameSite: 'none' }, { https: false }, `${host}; Path=/; ${until}; Secure; SameSite=None`],
  ['never Secure', { secure: false }, {}, `${always}; Path=/; ${until}; SameSite=Lax`],
  ['always Secure', { secure: true }, { https: false }, `${host}; Path=/; ${until}; Secure; SameSite=Lax`],
  [
    'partitioned',
    { partitioned: true },
    { https: false },
    `${host}; Path=/; ${until}; Secure; Partitioned; SameSite=Lax`,
  ],
])('is written %s', (_name, options, more, expected) => {
  expect(written(options, more)).toBe(expected);
});

/** The names of the cookies that a write sets and clears. */
function changes(sent: string, options: CookieOptions, { https = true, others = [] as string[] } = {}): string[] {
  const req = new IncomingMessage(new Socket());
  req.headers.cookie = sent;
  const res = new ServerResponse(req);
  const parts = { clock: { now: () => NOW }, isSecure: () => https, others };
  createLoginCookie('login_token', options, parts).write(req, res, 'a.b.c', NOW + 60_000);
  return [res.getHeader('Set-Cookie')].flat().map((header) => String(header).replace(/;.*/, ''));
}

test.each<[string, string, CookieOptions, object, readonly string[]]>([
  ['nothing was sent', 'a=1', {}, {}, ['__Host-login_token=a.b.c']],
  ['the same was sent', '__Host-login_token=x', {}, {}, ['__Host-login_token=a.b.c']],
  ['a plain one was sent', 'login_token=x', {}, {}, ['login_token=', '__Host-login_token=a.b.c']],
  ['an empty plain one was sent', 'login_token=', {}, {}, ['login_token=', '__Host-login_token=a.b.c']],
  // Otherwise the old one would be read in place of the new one.
  [
    'https is not seen any more',
    'a=1; __Host-login_token=x',
    {},
    { https: false },
    ['__Host-login_token=', 'login_token=a.b.c'],
  ],
  ['on http', 'login_token=x', {}, { https: false }, ['login_token=a.b.c']],
  // Otherwise the old one would count again as soon as the domain is taken back.
  [
    'a domain rules __Host- out',
    '__Host-login_token=x',
    { domain: 'example.com' },
    {},
    ['__Host-login_token=', 'login_token=a.b.c'],
  ],
  [
    'another cookie is read too',
    'old=x; login_token=y',
    {},
    { others: ['login_token', 'old'] },
    ['login_token=', 'old=', '__Host-login_token=a.b.c'],
  ],
])('a write if %s', (_name, sent, options, more, expected) => {
  expect(changes(sent, options, more)).toEqual(expected);
});

test('a cookie with a wrong signature is left out, and the others of its names are not', () => {
  const parts = { clock: { now: () => NOW }, isSecure: () => true, others: ['old'] };
  const members = { signedCookies: { login_token: false, old: 'd.e.f' } };
  const req = request({ headers: { cookie: 'login_token=s:a.b.c.wrong; old=s:d.e.f.sig' }, members });
  expect(createLoginCookie('login_token', {}, parts).sent(req)).toEqual(['d.e.f']);
});

test('is cleared under its __Host- name as browsers accept it, whatever the options say', () => {
  const res = new ServerResponse(new IncomingMessage(new Socket()));
  const options = { domain: 'example.com', path: '/shop', secure: false };
  createLoginCookie('a', options, { clock: { now: () => NOW }, isSecure: () => true }).clear(res);
  const headers = [res.getHeader('Set-Cookie')].flat();
  expect(headers.filter((header) => String(header).startsWith('__Host-'))).toEqual([
    `__Host-a=; ${GONE.replace('HttpOnly;', 'HttpOnly; Secure;')}`,
  ]);
});

test('is cleared under every name, each time', () => {
  const parts = { clock: { now: () => NOW }, isSecure: () => true, others: ['old'] };
  const cookie = createLoginCookie('login_token', {}, parts);
  for (const _again of [1, 2]) {
    const res = new ServerResponse(new IncomingMessage(new Socket()));
    cookie.clear(res);
    const names = [res.getHeader('Set-Cookie')].flat().map((header) => String(header).replace(/=.*/, ''));
    expect(names).toEqual(['login_token', '__Host-login_token', 'old', '__Host-old']);
  }
});

test('fits, as long as name and value have 4096 characters at most', () => {
  const parts = { clock: { now: () => NOW }, isSecure: () => true };
  const fits = (options: CookieOptions, length: number): boolean =>
    createLoginCookie('login_token', options, parts).fits('x'.repeat(length));
  expect([4078, 4079].map((length) => fits({}, length))).toEqual([true, false]);
  expect([4085, 4086].map((length) => fits({ path: '/a' }, length))).toEqual([true, false]);
});

test.each<[string, CookieOptions, readonly string[]]>([
  ['login_token', {}, [`login_token=; ${GONE}`]],
  ['__Host-login', {}, [`__Host-login=; ${GONE.replace('HttpOnly;', 'HttpOnly; Secure;')}`]],
  ['a', { domain: 'example.com' }, [`a=; ${GONE}`, `a=; ${GONE.replace('Path=/;', 'Domain=example.com; Path=/;')}`]],
  ['a', { partitioned: true }, [`a=; ${GONE.replace('HttpOnly;', 'HttpOnly; Secure; Partitioned;')}`]],
])('%s is cleared with the attributes that it was set with', (name, options, expected) => {
  expect(cleared(name, options)).toEqual(expected);
});
