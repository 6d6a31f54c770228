/** What a client says of itself, by the name that people know. */

import { hint } from '../core/check.js';

const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0';
const SAFARI = 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0';
const WINDOWS = 'Windows NT 10.0; Win64; x64';
const MAC = 'Macintosh; Intel Mac OS X 10_15_7';

/** As these browsers send them, which no longer tell the version of the system. */
export const DEVICES = {
  iPhone: `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${SAFARI} Mobile/15E148 Safari/604.1`,
  'Android phone': `Mozilla/5.0 (Linux; Android 10; K) ${CHROME} Mobile Safari/537.36`,
  'Android tablet': `Mozilla/5.0 (Linux; Android 10; K) ${CHROME} Safari/537.36`,
  'Chrome on Windows': `Mozilla/5.0 (${WINDOWS}) ${CHROME} Safari/537.36`,
  'Edge on Windows': `Mozilla/5.0 (${WINDOWS}) ${CHROME} Safari/537.36 Edg/141.0.0.0`,
  'Firefox on Windows': 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0',
  'Chrome on macOS': `Mozilla/5.0 (${MAC}) ${CHROME} Safari/537.36`,
  'Safari on macOS': `Mozilla/5.0 (${MAC}) ${SAFARI} Safari/605.1.15`,
  'Firefox on Linux': 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
  curl: 'curl/8.16.0',
} as const;

export type TestDevice = keyof typeof DEVICES;

const NAMES = Object.keys(DEVICES) as readonly TestDevice[];

/** Anything with a slash is a user agent as it is. Throws a `TypeError` for another name that is not in the table. */
export function userAgentOf(device: string): string {
  const name = NAMES.find((known) => known === device);
  if (name !== undefined) return DEVICES[name];
  if (device.includes('/')) return device;
  throw new TypeError(`signIn(): device must be a user agent, or the name of a device: ${hint(device, NAMES)}`);
}
