import { isLoginError, type LoginError } from '../../lib/core/errors.js';
import { requireSignIn, type StepUp } from '../../lib/core/step-up.js';

const NOW = 1_700_000_000_000;
const S = NOW / 1000;
const TOLERANCE = 5000;
const RECENT: StepUp = { maxAge: 600_000, acr: [] };
const STRONG: StepUp = { maxAge: null, acr: ['mfa', 'phr'] };
const BOTH: StepUp = { maxAge: 600_500, acr: ['mfa'] };

function refusalOf(claims: unknown, asked: StepUp): LoginError | null {
  try {
    requireSignIn(claims as Record<string, unknown>, asked, NOW, TOLERANCE);
    return null;
  } catch (error) {
    if (isLoginError(error)) return error;
    throw error;
  }
}

test.each<[name: string, claims: object, asked: StepUp]>([
  ['a sign-in now', { auth_time: S }, RECENT],
  ['one that is as old as it may be', { auth_time: S - 600 }, RECENT],
  ['one that is older by the tolerance', { auth_time: S - 605 }, RECENT],
  ['one in the future, by the tolerance', { auth_time: S + 5 }, RECENT],
  ['fractions of a second', { auth_time: S - 604.999 }, RECENT],
  ['one of the ways', { acr: 'phr' }, STRONG],
  ['both', { auth_time: S, acr: 'mfa' }, BOTH],
])('passes: %s', (_name, claims, asked) => {
  expect(refusalOf(claims, asked)).toBeNull();
});

test.each<[name: string, claims: unknown, asked: StepUp]>([
  ['no auth_time, and a recent iat', { iat: S }, RECENT],
  ['a second too old', { auth_time: S - 606 }, RECENT],
  ['a millisecond too old', { auth_time: S - 605.001 }, RECENT],
  ['in the future', { auth_time: S + 5.001 }, RECENT],
  ['a string', { auth_time: String(S) }, RECENT],
  ['null', { auth_time: null }, RECENT],
  ['a list', { auth_time: [S] }, RECENT],
  ['a date', { auth_time: new Date(NOW).toISOString() }, RECENT],
  ['milliseconds', { auth_time: NOW }, RECENT],
  ['more than a number can be', JSON.parse('{"auth_time":1e400}'), RECENT],
  ['less', JSON.parse('{"auth_time":-1e400}'), RECENT],
  ['zero', { auth_time: 0 }, RECENT],
  ['of a prototype', Object.create({ auth_time: S }), RECENT],
  ['no acr', { auth_time: S }, STRONG],
  ['another acr', { acr: 'pwd' }, STRONG],
  ['an acr that contains one', { acr: 'mfa phr' }, STRONG],
  ['a list of acr', { acr: ['mfa'] }, STRONG],
  ['an acr in other letters', { acr: 'MFA' }, STRONG],
  ['recent and not strong', { auth_time: S, acr: 'pwd' }, BOTH],
  ['strong and not recent', { auth_time: S - 700, acr: 'mfa' }, BOTH],
])('refuses: %s', (_name, claims, asked) => {
  expect(refusalOf(claims, asked)).toMatchObject({ code: 'insufficient_user_authentication', status: 401 });
});

test('a clock that is broken lets nobody in', () => {
  for (const now of [NaN, Infinity, -Infinity]) {
    expect(() => requireSignIn({ auth_time: S }, RECENT, now, TOLERANCE)).toThrow();
  }
});

test('the challenge has everything that is asked for, also what the token has', () => {
  const error = refusalOf({ auth_time: S, acr: 'pwd' }, BOTH);
  expect(error).toMatchObject({ maxAge: 600, acr: ['mfa'] });
  expect(error?.headers['WWW-Authenticate']).toMatch(
    /^Bearer realm="login", error="insufficient_user_authentication", error_description="[^"]+", max_age="600", acr_values="mfa"$/,
  );
});
