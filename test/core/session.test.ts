import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  HANDLE_PATTERN,
  keptLabel,
  keptOrNull,
  keptText,
  LABEL_LIMIT,
  sessionHandle,
  sessionUser,
} from '../../lib/core/session.js';

describe('handle', () => {
  const text = fc.string({ unit: 'binary' });

  test('is 22 url-safe characters, the same for the same session', () => {
    fc.assert(
      fc.property(text, text, text, (issuer, subject, id) => {
        const handle = sessionHandle(sessionUser(issuer, subject), id);
        expect(handle).toMatch(HANDLE_PATTERN);
        expect(sessionHandle(sessionUser(issuer, subject), id)).toBe(handle);
      }),
    );
  });

  test.each<[string, [string, string, string], [string, string, string]]>([
    ['what is issuer and what is subject', ['a', 'b', 'c'], ['b', 'a', 'c']],
    ['where one part ends and the next begins', ['a', 'bc', 'd'], ['ab', 'c', 'd']],
    ['an empty part', ['', 'a', 'b'], ['a', '', 'b']],
    ['a quote and a comma', ['a","b', 'c', 'd'], ['a', 'b","c', 'd']],
    ['two lone surrogates', ['a', '\ud800', 'c'], ['a', '\udbff', 'c']],
    ['a lone surrogate and its replacement character', ['a', 'b', '\ud800'], ['a', 'b', '\ufffd']],
    ['two spellings of one letter', ['a', 'b', '\u00e9'], ['a', 'b', 'e\u0301']],
    ['upper and lower case', ['a', 'B', 'c'], ['a', 'b', 'c']],
  ])('keeps apart: %s', (_, one, other) => {
    const handleOf = ([issuer, subject, id]: [string, string, string]) =>
      sessionHandle(sessionUser(issuer, subject), id);
    expect(handleOf(one)).not.toBe(handleOf(other));
  });

  test("is by SHA-256 over the parts' JSON, so that any process of any version agrees", () => {
    const digest = createHash('sha256').update('["https://id.example.com/","usr_1","kss_1"]').digest('base64url');
    expect(sessionHandle(sessionUser('https://id.example.com/', 'usr_1'), 'kss_1')).toBe(digest.slice(0, 22));
  });
});

test("a user's key names issuer and subject, and neither can be read from it", () => {
  const user = sessionUser('issuer', 'subject');
  expect(user).toEqual({ key: expect.stringMatching(HANDLE_PATTERN), issuer: 'issuer', subject: 'subject' });
  expect(sessionUser('issuer', 'other').key).not.toBe(user.key);
  expect(sessionUser('other', 'subject').key).not.toBe(user.key);
});

describe('text that is kept', () => {
  test.each([
    ['stays as it is', 'Mozilla/5.0 (X11)', 'Mozilla/5.0 (X11)'],
    ['is one line', 'a\r\nb\tc', 'a  b c'],
    ['has no control characters', 'a\u0000\u001b[31m\u007f\u009f', 'a  [31m  '],
    ['is well-formed', 'a\ud800b', 'a\ufffdb'],
    ['is cut', 'x'.repeat(30), 'x'.repeat(20)],
    ['is well-formed also where it is cut', `${'x'.repeat(19)}😀`, `${'x'.repeat(19)}\ufffd`],
  ])('%s', (_, text, kept) => {
    expect(keptText(text, 20)).toBe(kept);
    expect(keptOrNull(text, 20)).toBe(kept);
  });

  test('nothing is null', () => {
    expect(keptOrNull('', 20)).toBeNull();
    expect(keptOrNull(null, 20)).toBeNull();
    expect(keptLabel('')).toBeNull();
    expect(keptLabel(null)).toBeNull();
  });

  test('a label is cut by code points, never within one', () => {
    expect(keptLabel('😀'.repeat(LABEL_LIMIT + 1))).toBe('😀'.repeat(LABEL_LIMIT));
    expect(keptLabel("Mum's iPad")).toBe("Mum's iPad");
  });
});
