/** Why a token is accepted or refused, claim by claim, and which session it belongs to. */

import { claimOf, type Claims } from '../core/claims.js';
import { refusalsOf } from '../core/claim-checks.js';
import { momentOf } from '../core/claim-times.js';
import { shown } from '../core/diagnosis.js';
import { tokenRefused } from '../core/events.js';
import { isLoginError, type LoginError, type LoginErrorCode } from '../core/errors.js';
import type { IssuerOptions } from '../tokens/issuer.js';
import { countedId, DEFAULT_SESSION, sessionIdBy } from '../tokens/session-id.js';
import { parseToken, requireLength, type UnverifiedToken } from '../tokens/token-form.js';
import { createVerifier, type IssuerRules, type VerifiedToken } from '../tokens/verify.js';
import { TOKEN_ADVICE } from './advice.js';
import { shownDuration, shownMoment } from './clock.js';
import type { Code, Finding, Report } from './findings.js';
import { providerOf, type Provider } from './providers.js';

export interface TokenCheck {
  readonly issuers: readonly { readonly options: IssuerOptions; readonly rules: IssuerRules }[];
  readonly lifetime: (claims: Claims) => number | null;
  readonly maxTokenLength: number;
  readonly clock: { now(): number };
}

/** The verified token; null if it is refused, or its keys cannot be fetched. */
export async function checkToken(text: string, check: TokenCheck, report: Report): Promise<VerifiedToken | null> {
  const token = formOf(text, check, report);
  if (token === null) return null;
  const { clock, lifetime, issuers } = check;
  const verifier = createVerifier({ ...check, issuers: issuers.map(({ rules }) => rules) });
  const outcome = await Promise.resolve()
    .then(() => verifier.verify(text))
    .catch((error: unknown) => {
      if (isLoginError(error)) return error;
      throw error;
    });
  const refusal = isLoginError(outcome) ? outcome : null;
  const found =
    issuers.find(({ rules }) => isOfIssuer(token.payload, rules)) ?? (issuers.length === 1 ? issuers[0] : undefined);
  const provider = providerOf(token.payload);
  const refusals = found === undefined ? [] : refusalsOf(token.payload, { ...found.rules, lifetime }, clock.now());
  const isExplained = refusals.some(({ error }) => error.code === refusal?.code);
  report(verdictOf(refusal, isExplained));
  reportHeader(token, refusal, report);
  if (found !== undefined) {
    for (const { claim, error } of refusals) report(refused(claim, error, token.payload, clock.now()));
    const wrong = new Set(refusals.map(({ claim }) => claim));
    for (const finding of acceptedClaims(token.payload, found, clock.now())) {
      if (!wrong.has(finding.name ?? '')) report(finding);
    }
  }
  reportProvider(provider, report);
  if (found !== undefined) reportSession(token, found.options, provider, report);
  return isLoginError(outcome) ? null : outcome;
}

/** The second part, the encrypted key, may be empty. */
const ENCRYPTED = /^[\w-]+\.[\w-]*(?:\.[\w-]+){3}$/;

function formOf(text: string, { maxTokenLength }: TokenCheck, report: Report): UnverifiedToken | null {
  try {
    requireLength(text, maxTokenLength);
    return parseToken(text);
  } catch (error) {
    if (!isLoginError(error)) throw error;
    report(verdictOf(error, false));
    const says = 'It has five parts, so it is encrypted (JWE). Encrypted tokens are not accepted.';
    if (ENCRYPTED.test(text)) report({ about: 'token', level: 'note', code: 'token_encrypted', says });
    return null;
  }
}

/** `isExplained`: the finding of a claim has the same code, and the advice. */
function verdictOf(error: LoginError | null, isExplained: boolean): Finding {
  if (error === null) {
    return { about: 'token', level: 'ok', code: 'token_accepted', says: 'The token is accepted.' };
  }
  const level = error.status === 503 ? 'unreachable' : 'problem';
  const says = `The token is refused with ${String(error.status)} ${error.code}: ${error.message}.`;
  return { about: 'token', level, code: error.code, says, ...(isExplained ? {} : advised(error.code)) };
}

function advised(code: LoginErrorCode): Pick<Finding, 'advice'> {
  const advice = TOKEN_ADVICE[code];
  return advice === undefined ? {} : { advice };
}

function isOfIssuer(claims: Claims, { issuer, withoutIssuer }: IssuerRules): boolean {
  return withoutIssuer === true ? !Object.hasOwn(claims, 'iss') : claimOf(claims, 'iss') === issuer;
}

/** Which part of the header an error is about. */
const HEADER: Readonly<Partial<Record<LoginErrorCode, string>>> = {
  algorithm_refused: 'alg',
  type_refused: 'typ',
  key_unknown: 'kid',
  signature_invalid: 'signature',
  keys_unavailable: 'signature',
};

function reportHeader({ alg, type, kid }: UnverifiedToken, refusal: LoginError | null, report: Report): void {
  const at = refusal === null ? undefined : HEADER[refusal.code];
  const parts = [
    ['alg', alg],
    ['typ', type === null ? 'absent' : shown(type)],
    ['kid', kid === undefined ? 'absent' : shown(kid)],
  ] as const;
  for (const [name, text] of parts) {
    if (refusal !== null && name === at) {
      report({
        about: 'token',
        level: 'problem',
        code: refusal.code,
        name,
        says: `It is ${text}: ${refusal.message}.`,
      });
    } else report({ about: 'token', level: 'ok', code: 'header', name, says: `It is ${text}.` });
  }
  if (refusal === null || (at === undefined && refusal.code !== 'issuer_refused')) return;
  report({
    about: 'token',
    level: 'note',
    code: 'signature_unverified',
    name: 'signature',
    says: 'It was not verified, so anybody may have written the claims below.',
  });
}

function refused(claim: string, error: LoginError, claims: Claims, now: number): Finding {
  const { diagnosis } = tokenRefused(error);
  const hint = diagnosis?.hint === undefined ? '' : ` It ${diagnosis.hint}.`;
  const what = diagnosis === undefined ? '' : ` It is ${diagnosis.got}, and must be ${diagnosis.expected}.${hint}`;
  const at = diagnosis === undefined ? momentOf(claims, claim) : null;
  const says = `${error.message}${at === null ? '' : ` (${claim} is ${shownMoment(at, now)})`}.${what}`;
  return { about: 'token', level: 'problem', code: error.code, name: claim, says, ...advised(error.code) };
}

/** What is checked, if it is there. */
function acceptedClaims(claims: Claims, { options, rules }: TokenCheck['issuers'][number], now: number): Finding[] {
  const findings: Finding[] = [];
  function add(
    name: string,
    says: string,
    level: Finding['level'] = 'ok',
    code: Code = 'claim',
    advice?: string,
  ): void {
    findings.push({ about: 'token', level, code, name, says, ...(advice !== undefined && { advice }) });
  }

  if (Object.hasOwn(claims, 'iss')) add('iss', `${shown(claimOf(claims, 'iss'))} is the issuer.`);
  if (rules.audience !== undefined) add('aud', `${shown(claimOf(claims, 'aud'))} is accepted.`);
  else if (rules.claims === undefined || Object.keys(rules.claims).length === 0) {
    const advice = 'Set the option audience to what your application is called at the provider.';
    const given = Object.hasOwn(claims, 'aud') ? shown(claimOf(claims, 'aud')) : 'absent';
    add(
      'aud',
      `It is ${given}. The audience is not checked: tokens for other applications are accepted.`,
      'note',
      'audience_unchecked',
      advice,
    );
  }
  const { subject = 'sub' } = options;
  if (typeof subject === 'string') add(subject, `${shown(claimOf(claims, subject))} is the user.`);
  for (const name of ['iat', 'nbf', 'exp', 'session_expiry', 'auth_time']) {
    const at = momentOf(claims, name);
    if (at !== null) add(name, `${shownMoment(at, now)}.`);
  }
  for (const name of Object.keys(rules.claims ?? {})) add(name, 'It is as the option claims requires.');
  const tolerance = shownDuration(rules.clockTolerance);
  add('clock', `The issuer's clock may differ by ${tolerance} (clockTolerance).`);
  return findings;
}

function reportProvider(provider: Provider | undefined, report: Report): void {
  if (provider === undefined) return;
  const { name, anchor } = provider;
  const says = `The token looks like one of ${name}: docs/providers.md#${anchor} has its configuration.`;
  report({ about: 'token', level: 'note', code: 'provider', name: 'provider', says });
}

function reportSession(
  token: UnverifiedToken,
  { session = DEFAULT_SESSION }: IssuerOptions,
  provider: Provider | undefined,
  report: Report,
): void {
  const { payload, signingInput } = token;
  const names = typeof session === 'function' ? [] : [session].flat();
  const claim = names.find((name) => countedId(claimOf(payload, name)) !== undefined);
  const { isNamed } = sessionIdBy(session)(payload, signingInput);
  const about = 'session';
  if (claim !== undefined && claim !== 'jti') {
    const says = `The claim ${claim} names the session. A refreshed token in which it is the same continues the session, and is refused if the session was ended.`;
    report({ about, level: 'ok', code: 'session_named', name: claim, says });
    return;
  }
  if (isNamed) {
    const says =
      'As the option session says, each token is a session of its own, by its jti. A refreshed token is another session.';
    report({ about, level: 'note', code: 'session_per_token', name: 'jti', says });
    return;
  }
  const by = countedId(claimOf(payload, 'jti')) === undefined ? 'a digest of the token' : 'its jti';
  const missing = names.length === 0 ? '' : ` The token has none of ${names.join(', ')}.`;
  const others = Object.keys(payload).slice(0, 50).join(', ');
  const remedy =
    provider === undefined
      ? 'Set the option session to the claim that stays the same while a sign-in is refreshed: compare the token of a sign-in with a refreshed one.'
      : `Set the option session. At ${provider.name}, what stays the same is: ${provider.session} (docs/providers.md#${provider.anchor}).`;
  report({
    about,
    level: 'problem',
    code: 'session_unnamed',
    says: `No claim names the session, so this token is a session of its own, by ${by}.${missing} Each refresh is a new session: it is listed again, and brings an ended session back.`,
    advice: `${remedy} If the tokens are never refreshed, set session to 'jti'. The token has these claims: ${others}.`,
  });
}
