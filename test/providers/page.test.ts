/** docs/providers.md and the corpus of token shapes are about the same providers. */

import { CONFIGURATIONS, PAGE } from './page.js';
import { ONE_TOKEN_SESSIONS, REAL_PROVIDER, SHAPES } from './shapes.js';

const sections = PAGE.split(/^## /m).slice(1);
const titles = sections.map((section) => section.split('\n', 1)[0]!);
/** Where there is nothing to read about, or not of one provider. */
const OF_NO_PROVIDER = ['Any other OpenID Connect provider', 'Your own code'];

test('every configuration is for a shape, and every shape has one', () => {
  const names = [...SHAPES, ONE_TOKEN_SESSIONS].map(({ name }) => name);
  expect(CONFIGURATIONS.filter(({ shapes }) => shapes.length === 0).map(({ line }) => line)).toEqual([]);
  expect(CONFIGURATIONS.flatMap(({ shapes }) => shapes).toSorted()).toEqual([...names, REAL_PROVIDER].toSorted());
});

test('the table has a row for each section, in their order', () => {
  const rows = Array.from(PAGE.matchAll(/^\| \[[^\]]*\]\(#(?<anchor>[^)]*)\)/gm), (match) => match.groups?.['anchor']);
  expect(rows).toEqual(titles.map((title) => title.toLowerCase().replaceAll(' ', '-')));
});

test.each(titles)('%s has a configuration, and says where it was read', (title) => {
  const section = sections[titles.indexOf(title)]!;
  expect(section).toContain('<!-- shapes: ');
  if (!OF_NO_PROVIDER.includes(title)) expect(section).toMatch(/^- Read in: \[[^\]]+\]\(https:/m);
});

test('every configuration says how long an ended session is remembered, if its tokens are refreshed', () => {
  const silent = CONFIGURATIONS.filter(({ code }) => !code.includes('tombstoneFor'));
  expect(silent.flatMap(({ shapes }) => shapes)).toEqual([ONE_TOKEN_SESSIONS.name]);
});
