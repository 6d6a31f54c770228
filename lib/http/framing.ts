/** Keeps other pages from framing ours: in a frame, a person can be made to click what they do not see (clickjacking). */

import type { ServerResponse } from 'node:http';

const POLICY = 'Content-Security-Policy';
const FRAME_OPTIONS = 'X-Frame-Options';
const NOBODY = "frame-ancestors 'none'";

/**
 * Sets the page's own policy, or with null keeps those of the site, and forbids framing. If the response already says who may
 * frame it, by `frame-ancestors` or `X-Frame-Options`, that stays.
 */
export function setPagePolicy(res: ServerResponse, own: string | null): void {
  const before = policiesOf(res);
  const ancestors = before.flatMap(ancestorsIn);
  const isDecided = ancestors.length > 0 || isRestricted(res.getHeader(FRAME_OPTIONS));
  if (!isDecided) res.setHeader(FRAME_OPTIONS, 'DENY');
  // Browsers apply every policy of a response: one that is added can only forbid more.
  const policies =
    own === null ? [...before, ...(isDecided ? [] : [NOBODY])] : [own, ...(isDecided ? ancestors : [NOBODY])];
  if (policies.length > 0) res.setHeader(POLICY, policies);
}

/** Each header as it was set. */
function policiesOf(res: ServerResponse): readonly string[] {
  const header = res.getHeader(POLICY);
  return header === undefined ? [] : [header].flat().map(String);
}

/** The directives of this name. A comma separates policies within one header (CSP Level 3, section 2.2.3). */
function ancestorsIn(policies: string): readonly string[] {
  return policies
    .split(/[;,]/)
    .map((directive) => directive.trim())
    .filter((directive) => /^frame-ancestors(?:\s|$)/i.test(directive));
}

/** Browsers ignore every other value, also `ALLOW-FROM`. */
function isRestricted(header: number | string | readonly string[] | undefined): boolean {
  const values = header === undefined ? [] : [header].flat().join(',').split(',');
  return values.length > 0 && values.every((value) => /^\s*(?:deny|sameorigin)\s*$/i.test(value));
}
