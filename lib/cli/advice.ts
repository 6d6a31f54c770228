/** What to do about a refused token, by its code. */

import type { LoginErrorCode } from '../core/errors.js';

export const TOKEN_ADVICE: Readonly<Partial<Record<LoginErrorCode, string>>> = {
  token_malformed:
    'Pass the whole token as the client sends it: three parts with a dot between them. If the provider issues tokens of another ' +
    'form, ask it for JWT access tokens. At Auth0, the client must request an audience.',
  token_too_large: 'Set maxTokenLength, up to 65536, or have the provider put fewer claims into the token.',
  type_refused:
    'Is this the access token? If tokens of this type are meant to be accepted, set the option types of the issuer.',
  algorithm_refused:
    'Compare the algorithm of the token with those of the keys. If the issuer uses this one, set the option algorithms of the issuer.',
  key_unknown:
    'The key set has no key with this kid. Is it the key set of this issuer, and of this environment? If the issuer has just changed ' +
    'its keys, ask again in 30 seconds.',
  signature_invalid:
    'The token was signed with another key. Compare the secret or the key with those of the issuer, also for a line break at the end.',
  issuer_refused: 'Write the option issuer exactly as in the claim iss, with or without the slash at its end.',
  audience_refused:
    'If tokens for this audience are meant for this application, name it in the option audience. If not, the client asks for the wrong token.',
  claim_invalid: 'Have the issuer put the claim right, or change the option that requires it.',
  proof_required:
    "Have the issuer issue tokens without cnf to this client. Only if something in front of the application checks the proof, set senderConstrained: 'ignore'.",
  token_expired: 'The client must get a new token. If this one is new, compare the clocks.',
  token_not_yet_valid: 'Compare the clocks of this machine and of the issuer: let both take their time from NTP.',
  session_expired: 'The person must sign in again. The option lifetime and the claim session_expiry limit a session.',
  session_revoked: 'The person must sign in again.',
  session_idle: 'The person must sign in again: the session was not used for idleTimeout.',
  token_stale: 'The client must get a new token: expireTokens was called for this user.',
  keys_unavailable: 'See what is said of the keys.',
  store_unavailable: 'See what is said of Redis.',
};
