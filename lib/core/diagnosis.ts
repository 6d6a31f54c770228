/** Why a token was refused, or a request of another site, for operators only: the client is told nothing of it. */

import type { LoginError } from './errors.js';

/**
 * The claim for which a token was refused, or for `cross_site` the header `Origin`. Each text is one line of at most 300 characters, and contains no token. What the
 * token had was chosen by its sender, who may be anybody: escape it if you show it as HTML.
 */
export interface Diagnosis {
  /** Such as `iss`, `aud`, or one of the option `claims`; `Origin` for `cross_site`. */
  readonly claim: string;
  /** What the token had: strings in quotes, `nothing` if the claim is absent. */
  readonly got: string;
  /** What was expected. */
  readonly expected: string;
  /** What they differ in, if that is hard to see. */
  readonly hint?: string;
}

/** The longest string that is shown whole, in characters, and the most members of a list. */
const SHOWN_LENGTH = 100;
const SHOWN_MEMBERS = 5;
const TEXT_LENGTH = 300;

/** Not a member of the error, which applications may send to the client. */
const diagnoses = new WeakMap<LoginError, Diagnosis>();

/** The error, with its diagnosis. */
export function diagnosed(error: LoginError, diagnosis: Diagnosis): LoginError {
  const { claim, got, expected, hint } = diagnosis;
  diagnoses.set(error, {
    claim: bounded(oneLine(claim)),
    got: bounded(got),
    expected: bounded(expected),
    ...(hint !== undefined && { hint: bounded(hint) }),
  });
  return error;
}

export function diagnosisOf(error: LoginError): Diagnosis | undefined {
  return diagnoses.get(error);
}

/** For a claim such as `iss` or `aud` that must be, or contain, one of several names. */
export function namesDiffer(claim: string, got: unknown, expected: readonly string[]): Diagnosis {
  const given: readonly unknown[] = Array.isArray(got) ? got.slice(0, SHOWN_MEMBERS) : [got];
  const near = expected.find((name) => given.some((each) => differsBySlash(each, name)));
  return {
    claim,
    got: shown(got),
    expected: expected.length === 0 ? 'nothing' : shownChoice(expected),
    ...(near !== undefined && { hint: `differs from ${shown(near)} only by a trailing slash` }),
  };
}

/** One of these values. */
export function shownChoice(values: readonly unknown[]): string {
  if (values.length === 1) return shown(values[0]);
  const more = values.length > SHOWN_MEMBERS ? `, or ${values.length - SHOWN_MEMBERS} more` : '';
  return `one of ${values.slice(0, SHOWN_MEMBERS).map(shownScalar).join(', ')}${more}`;
}

/** A value on one line, of bounded length. Objects are not shown, because they can nest without end. */
export function shown(value: unknown): string {
  if (!Array.isArray(value)) return shownScalar(value);
  const more = value.length > SHOWN_MEMBERS ? `, and ${value.length - SHOWN_MEMBERS} more` : '';
  return `[${value.slice(0, SHOWN_MEMBERS).map(shownScalar).join(', ')}${more}]`;
}

function shownScalar(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing';
    case 'string': {
      const text = value.length > SHOWN_LENGTH ? `${value.slice(0, SHOWN_LENGTH)}…` : value;
      return JSON.stringify(oneLine(text));
    }
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return value === null ? 'null' : Array.isArray(value) ? 'a list' : 'an object';
  }
}

/** A text in which no character ends or reorders the line, and no part is a token. */
export function oneLine(text: string): string {
  return text.replace(/eyJ[\w-]{5,}(\.[\w-]*)*/g, '(a token)').replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{FFFD}');
}

function bounded(text: string): string {
  return text.length > TEXT_LENGTH ? `${text.slice(0, TEXT_LENGTH - 1).toWellFormed()}…` : text;
}

function differsBySlash(got: unknown, expected: string): boolean {
  return got === `${expected}/` || (typeof got === 'string' && `${got}/` === expected);
}
