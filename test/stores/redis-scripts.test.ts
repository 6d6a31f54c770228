import fc from 'fast-check';
import { keptText, USER_AGENT_LIMIT } from '../../lib/core/session.js';
import { decodeRecord, packed } from '../../lib/stores/redis-scripts.js';

const HANDLE = 'h'.repeat(22);

/** The user agent of a record that holds it packed. */
function keptThrough(userAgent: string): string | null {
  const text = `l${['1', '2', '', '3', '0', '1', '203.0.113.7', packed(userAgent), ''].join('\n')}`;
  return decodeRecord(HANDLE, text).record.userAgent;
}

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36';

test.each([
  CHROME,
  `${CHROME} Edg/131.0.0.0`,
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0',
  'MyApp for iOS/v1.0.0',
  'curl/8.5.0',
  'Mozilla/5.0 (Mozilla/5.0 (Mozilla/5.0 (',
  // What looks like a pattern, and what does not.
  'Mozilla/5X0 (',
  'Chrome/.*$1$&',
])('is kept as it was: %s', (userAgent) => {
  expect(keptThrough(userAgent)).toBe(userAgent);
});

test('any kept text is kept as it was, also of pieces of user agents', () => {
  const piece = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...CHROME.split(/(?<=[ (/])/), CHROME));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const userAgent = keptText(pieces.join(''), USER_AGENT_LIMIT);
      expect(keptThrough(userAgent)).toBe(userAgent === '' ? null : userAgent);
    }),
    { numRuns: 500 },
  );
});

test('those of browsers take less than half of the room', () => {
  expect(packed(CHROME).length).toBeLessThan(CHROME.length / 2);
});
