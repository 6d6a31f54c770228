import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { createCookieClearer, createLoginCookie, type CookieOptions } from '../../lib/http/cookie.js';

const NOW = Date.UTC(2026, 2, 1, 9);
const GONE = 'Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax';

function written(options: CookieOptions, { https = true, name = 'login_token' } = {}): unknown {
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  const parts = { clock: { now: () => NOW }, isSecure: () => https };
  createLoginCookie(name, options, parts).write(req, res, 'a.b.c', NOW + 60_000);
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

test.each<[string, CookieOptions, readonly string[]]>([
  ['login_token', {}, [`login_token=; ${GONE}`]],
  ['__Host-login', {}, [`__Host-login=; ${GONE.replace('HttpOnly;', 'HttpOnly; Secure;')}`]],
  ['a', { domain: 'example.com' }, [`a=; ${GONE}`, `a=; ${GONE.replace('Path=/;', 'Domain=example.com; Path=/;')}`]],
  ['a', { partitioned: true }, [`a=; ${GONE.replace('HttpOnly;', 'HttpOnly; Secure; Partitioned;')}`]],
])('%s is cleared with the attributes that it was set with', (name, options, expected) => {
  expect(cleared(name, options)).toEqual(expected);
});
