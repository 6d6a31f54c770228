/** Who may send messages to the doors: the configured issuers, and separate transmitters of security events. */

import { issuerRules, type IssuerOptions } from '../../tokens/issuer.js';
import type { KeyEvent } from '../../tokens/key-source.js';
import { createMessageVerifier, findIssuerAmong } from '../../tokens/message.js';
import type { IssuerRules, TenantSource } from '../../tokens/verify.js';

export interface SendersOptions {
  readonly issuers: readonly IssuerRules[];
  readonly tenants: TenantSource | undefined;
  readonly clock: { now(): number };
  /** In characters. */
  readonly maxTokenLength: number;
  /** Must not throw. */
  readonly onKeyEvent: (issuer: string, event: KeyEvent) => void;
}

export function createDoorParts({ issuers, tenants, clock, maxTokenLength, onKeyEvent }: SendersOptions) {
  const findIssuer = findIssuerAmong(issuers, tenants);
  const transmitters: IssuerRules[] = [];
  const [first, ...others] = issuers;
  return {
    findIssuer,
    verifyMessage: createMessageVerifier(findIssuer, maxTokenLength),
    /** The name of the configured issuer, if there is only one. */
    onlyIssuer: first === undefined || others.length > 0 ? null : first.issuer,
    /** The rules of a separate transmitter. Throws a `TypeError` that names the option. */
    transmitter(options: IssuerOptions, path: string): IssuerRules {
      const rules = issuerRules(options, path, { clock, onKeyEvent: (event) => onKeyEvent(options.issuer, event) });
      transmitters.push(rules);
      return rules;
    },
    closeTransmitters() {
      for (const { keys } of transmitters) keys.close();
    },
  };
}
