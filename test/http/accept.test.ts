import { prefersHtml } from '../../lib/http/accept.js';

test.each([
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
  ['text/html', true],
  ['TEXT/HTML', true],
  ['text/html, */*', true],
  ['text/html;q=0.5, */*', false],
  ['text/html;q=0.5, application/*;q=0.4', true],
  ['text/html, application/json', true],
  ['application/json, text/html', false],
  ['application/json;q=0.9, text/html', true],
  ['text/html; q=0.2, application/json; q=0.1', true],
  ['text/html;q=0', false],
  ['text/html;q=NaN', false],
  ['text/html;q=9', false],
  ['application/xhtml+xml', false],
  ['*/*', false],
  ['text/*', false],
  ['', false],
  [undefined, false],
])('Accept: %s prefers HTML: %s', (accept, expected) => {
  expect(prefersHtml(accept)).toBe(expected);
});
