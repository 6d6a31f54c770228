/** Arguments that are wrong say so: a misspelt one must not pass for one that was left out. */

import jwt from 'jsonwebtoken';
import { isExpired } from '../lib/client/index.js';
import { createTestIssuer } from '../lib/testing/index.js';
import { authRocket, managedSessions, memoryStore } from '../lib/index.js';

const ISSUER = { issuer: 'https://id.example.com/', secret: 'a secret of at least 32 bytes in length' };
const sessions = managedSessions({ issuer: ISSUER });

afterAll(() => sessions.close());

/** As JavaScript calls it, whatever the types say. */
function call(
  name:
    | 'list'
    | 'revoke'
    | 'revokeAll'
    | 'expireTokens'
    | 'revokeSession'
    | 'endEverywhere'
    | 'verify'
    | 'authenticate'
    | 'on'
    | 'logout'
    | 'router'
    | 'handoff'
    | 'introspection'
    | 'required',
  ...args: unknown[]
): unknown {
  return Reflect.apply(sessions[name], sessions, args);
}

test.each([
  ['list', ['u', { limt: 1 }], /list\(\) has no option "limt": did you mean limit\?/],
  ['list', ['u', { limit: 'abc' }], /limit must be a number, got a string/],
  ['list', [undefined], /user must be a subject .* undefined/],
  ['list', [5], /user must be a subject .* a number/],
  ['list', [{ subject: 'u' }], /user must be \{ issuer, subject \}: or the subject alone/],
  ['list', [{ id: 'u' }], /user must be \{ issuer, subject \}: or the subject alone/],
  ['list', [{ issuer: ISSUER.issuer, id: 7 }], /user must be a subject: a non-empty string/],
  ['list', [{ issuer: ISSUER.issuer, id: 'u', subject: 'v' }], /an id and a subject, and they are not the same/],
  ['revoke', ['u', 'handle', { resaon: 'x' }], /revoke\(\) has no option "resaon": did you mean reason\?/],
  ['verify', ['token', { useragent: 'x' }], /verify\(\) has no option "useragent": did you mean userAgent\?/],
  ['verify', ['token', { ip: 7 }], /verify\(\): ip must be a string or null, got a number/],
  [
    'authenticate',
    [{ headers: {} }, { orgins: [] }],
    /authenticate\(\) has no option "orgins": did you mean origins\?/,
  ],
  ['revoke', ['u', 'handle', { reason: 5 }], /reason must be a string, got a number/],
  ['revokeAll', ['u', { excpt: 'x' }], /revokeAll\(\) has no option "excpt": did you mean except\?/],
  ['expireTokens', ['u', { reasn: 'x' }], /expireTokens\(\) has no option "reasn": did you mean reason\?/],
  ['expireTokens', ['u', { by: 7 }], /by must be a string, got a number/],
  ['expireTokens', [undefined], /user must be a subject .* undefined/],
  ['revokeAll', ['u', null], /revokeAll\(\) takes an object of options, got null/],
  ['revokeSession', [undefined], /revokeSession\(\) takes \{ issuer, subject, sessionId \}, got undefined/],
  ['revokeSession', ['s1'], /revokeSession\(\) takes \{ issuer, subject, sessionId \}, got a string/],
  ['revokeSession', [null], /revokeSession\(\) takes an object of options, got null/],
  ['revokeSession', [{ subject: 'u' }], /sessionId must be a non-empty string or a safe integer, got undefined/],
  ['revokeSession', [{ subject: 'u', sessionId: '' }], /sessionId must be a non-empty string .* got an empty string/],
  ['revokeSession', [{ subject: 'u', sessionId: 2 ** 53 }], /sessionId must be a non-empty string or a safe integer/],
  ['revokeSession', [{ subject: '', sessionId: 's' }], /subject must be a non-empty string, got an empty string/],
  ['revokeSession', [{ subject: null, sessionId: 's' }], /subject must be a non-empty string, got null/],
  ['revokeSession', [{ subject: 'u', sid: 's' }], /revokeSession\(\) has no option "sid"/],
  ['revokeSession', [{ issuer: 'x', subject: 'u', sessionId: 's' }], /issuer is not one of the configured issuers/],
  ['revokeSession', [{ sessionId: 's' }], /sessionIndex: true/],
  ['revokeSession', [{ subject: 'u', sessionId: 's' }, { resaon: 'x' }], /no option "resaon": did you mean reason\?/],
  ['endEverywhere', ['u'], /endEverywhere\(\) takes an object of options, got a string/],
  ['endEverywhere', [null], /endEverywhere\(\) takes an object of options, got null/],
  ['endEverywhere', [{ resaon: 'x' }], /endEverywhere\(\) has no option "resaon": did you mean reason\?/],
  ['endEverywhere', [{ except: 'handle' }], /endEverywhere\(\) has no option "except"/],
  ['endEverywhere', [{ by: 5 }], /endEverywhere\(\): by must be a string, got a number/],
] as const)('%s(%j) rejects', async (name, args, message) => {
  const error: unknown = await Promise.resolve(call(name, ...args)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TypeError);
  expect(String(error)).toMatch(message);
});

test.each([
  ['on', ['sessionstarted', () => undefined], /no event "sessionstarted": did you mean sessionStarted\?/],
  ['on', ['sessionStarted', 5], /listener .* function, got a number/],
  ['logout', [{ path: '/' }], /logout\(\) has no option "path"/],
  ['router', [{ cookie: {} }], /router\(\) has no option "cookie"/],
  ['handoff', [{ cookie: 'a' }], /handoff\(\) has no option "cookie"/],
  ['introspection', [{ authorise: () => true }], /no option "authorise": did you mean authorize\?/],
  ['introspection', [{}], /introspection\(\): authorize must be a function .* got undefined/],
  ['required', [{ scopes: 'a' }], /required\(\) has no option "scopes": did you mean scope\?/],
  ['router', [{ stylesheet: 5 }], /stylesheet must be/],
  ['router', [null], /router\(\) takes an object/],
] as const)('%s(%j) throws', (name, args, message) => {
  const attempt = () => call(name, ...args);
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(message);
});

test.each([
  [{ storeTimeout: null }, /^storeTimeout/],
  [{ issuer: { ...ISSUER, clockTolerance: null } }, /clockTolerance/],
  [{ loginUrl: 'https://' }, /^loginUrl/],
  [{ lifetime: '3600' }, /^lifetime must be written with a unit/],
])('managedSessions with %j throws', (options, message) => {
  const attempt = () => Reflect.apply(managedSessions, undefined, [{ issuer: ISSUER, ...options }]);
  expect(attempt).toThrow(message);
});

test('authRocket() says that it takes options', () => {
  expect(() => Reflect.apply(authRocket, undefined, [])).toThrow(/^authRocket\(\) takes an object of options/);
});

test('isExpired(undefined) is true', () => {
  expect(isExpired(undefined)).toBe(true);
});

test.each([
  ['its subject', 'u'],
  ['{ issuer, subject }', { issuer: ISSUER.issuer, subject: 'u' }],
  ['{ issuer, id }', { issuer: ISSUER.issuer, id: 'u' }],
  ['both, and they agree', { issuer: ISSUER.issuer, subject: 'u', id: 'u' }],
] as const)('a user is meant by %s', async (_by, reference) => {
  const own = managedSessions({ issuer: ISSUER });
  const token = jwt.sign({ sub: 'u', sid: 's' }, ISSUER.secret, { issuer: ISSUER.issuer, expiresIn: '1h' });
  try {
    const { user } = await own.verify(token);
    await expect(own.list(user)).resolves.toEqual(await own.list('u'));
    await expect(own.revokeAll(reference)).resolves.toEqual({ ended: 1 });
  } finally {
    await own.close();
  }
});

test.each([
  ['full', '203.0.113.77'],
  ['truncated', '203.0.113.0'],
  ['none', null],
] as const)('recordIp %s rules the address that verify() is given', async (recordIp, kept) => {
  const issuer = await createTestIssuer();
  const { issuer: name, jwksUri } = issuer;
  const own = managedSessions({ issuer: { issuer: name, jwksUri }, recordIp, store: memoryStore() });
  try {
    const token = issuer.issue({ sub: 'u', sid: 's' });
    await own.verify(token, { ip: '203.0.113.77' });
    expect((await own.list('u')).sessions[0]?.ip).toBe(kept);
  } finally {
    await own.close();
    await issuer.close();
  }
});
