/** How handles are shown: by no secret as they are, by a secret as only it can say, and always so that they are found again. */

import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { handlesBy } from '../../lib/core/handles.js';
import { HANDLE_PATTERN, sessionHandle, sessionUser } from '../../lib/core/session.js';

const secret = (byte: number) => createSecretKey(Buffer.alloc(32, byte));
const NEW = handlesBy(secret(1));
const OLD = handlesBy(secret(2));
const NONE = handlesBy(null);
const BOTH = handlesBy(secret(1), secret(2), null);

const BASE64URL = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
/** Any 22 characters: also those that are no encoding of 16 bytes. */
const handle = fc.string({ unit: fc.constantFrom(...BASE64URL), minLength: 22, maxLength: 22 });
const HANDLE = sessionHandle(sessionUser('https://id.example.com/', 'usr_1'), 'kss_1');

test('each handle is shown as a handle, and found by it again', () => {
  fc.assert(
    fc.property(handle, (of) => {
      const shown = NEW.shown(of);
      expect(shown).toMatch(HANDLE_PATTERN);
      expect(NEW.meant(shown)).toEqual([of]);
      expect(NEW.shown(NEW.meant(of)[0]!)).toBe(of);
    }),
    { numRuns: 2000 },
  );
});

test('by another secret it is shown, and means, something else', () => {
  expect(new Set([NONE, NEW, OLD].map(({ shown }) => shown(HANDLE))).size).toBe(3);
  expect(OLD.meant(NEW.shown(HANDLE))).not.toEqual([HANDLE]);
  expect(NEW.meant(HANDLE)).not.toEqual([HANDLE]);
});

test('by the same secret it is shown the same, in any process and at any time', () => {
  expect(handlesBy(secret(1)).shown(HANDLE)).toBe(NEW.shown(HANDLE));
  for (let time = 0; time < 3; time += 1) expect(NEW.meant(NEW.shown(HANDLE))).toEqual([HANDLE]);
  // Written down, so that no later version shows other handles.
  expect(NEW.shown('AAAAAAAAAAAAAAAAAAAAAA')).toBe('arabjmV99ae7Fs2y44zUBx');
});

test('without a secret it is shown as it is', () => {
  expect(NONE.shown(HANDLE)).toBe(HANDLE);
  expect(NONE.meant(HANDLE)).toEqual([HANDLE]);
});

test('of several secrets the first shows it, and each finds it', () => {
  expect(BOTH.shown(HANDLE)).toBe(NEW.shown(HANDLE));
  for (const [index, { shown }] of [NEW, OLD, NONE].entries()) {
    const meant = BOTH.meant(shown(HANDLE));
    expect(meant).toHaveLength(3);
    expect(meant[index]).toBe(HANDLE);
  }
});

test('handles that differ in any character are shown apart', () => {
  for (let at = 0; at < 22; at += 1) {
    const shown = BASE64URL.map((char) => NEW.shown(HANDLE.slice(0, at) + char + HANDLE.slice(at + 1)));
    expect(new Set(shown).size).toBe(64);
  }
});

test.each([
  [undefined],
  [null],
  [7],
  [''],
  ['short'],
  [`${HANDLE}A`],
  [HANDLE.slice(1)],
  [`${HANDLE.slice(1)}=`],
  [`${HANDLE.slice(1)}+`],
  [`${HANDLE.slice(1)}\n`],
  [[HANDLE]],
  [{ toString: () => HANDLE }],
])('what cannot be a handle means none: %j', (shown) => {
  for (const handles of [NONE, NEW, BOTH]) expect(handles.meant(shown)).toEqual([]);
});
