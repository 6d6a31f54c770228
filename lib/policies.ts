/** The policy by which the sessions of each issuer are judged. */

import { LRUCache } from 'lru-cache';
import type { Settings } from './settings.js';
import { DEFAULT_TOLERANCE } from './tokens/issuer.js';
import type { IssuerRules } from './tokens/verify.js';

type Policy = ReturnType<typeof policyOf>;

/** The most issuers found by a function whose own tolerance is remembered, also after they were evicted. */
const TOLERANCES_LIMIT = 10_000;

/** `learn` takes the rules of an issuer that a function found. `clockTolerance`: the smallest of those known at startup. */
export function policies(settings: Settings, issuers: readonly IssuerRules[]) {
  const byName = new Map(issuers.map((rules) => [rules.issuer, policyOf(settings, rules.clockTolerance)]));
  if (settings.issuerFunction === undefined) {
    // Other processes announce sessions of issuers that this process does not know: there is no tolerance for those.
    const strict = policyOf(settings, 0);
    return {
      policyOf: (issuer: string): Policy => byName.get(issuer) ?? strict,
      learn: () => undefined,
      clockTolerance: Math.min(...issuers.map((rules) => rules.clockTolerance)),
    };
  }
  const usual = policyOf(settings, DEFAULT_TOLERANCE);
  const learned = new LRUCache<string, Policy>({ max: TOLERANCES_LIMIT });
  return {
    policyOf: (issuer: string): Policy => learned.get(issuer) ?? usual,
    learn: ({ issuer, clockTolerance }: IssuerRules): void => {
      if (clockTolerance === DEFAULT_TOLERANCE) learned.delete(issuer);
      else learned.set(issuer, policyOf(settings, clockTolerance));
    },
    clockTolerance: DEFAULT_TOLERANCE,
  };
}

function policyOf({ idleTimeout, tombstoneFor, maxSessionsPerUser, atSessionLimit }: Settings, clockTolerance: number) {
  return { idleTimeout, clockTolerance, tombstoneFor, maxSessions: maxSessionsPerUser, atSessionLimit };
}
