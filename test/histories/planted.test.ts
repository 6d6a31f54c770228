/** The texts that are replaced to plant faults are in the built package. `npm run histories -- --planted` looks for the faults. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PLANTED } from './planted.js';

test.each(PLANTED.map((fault) => [fault.name, fault] as const))('%s', (_, { file, text, replacement }) => {
  const source = readFileSync(join(__dirname, '../../dist/esm', file), 'utf8');
  expect(source).toContain(text);
  expect(source.replaceAll(text, replacement)).not.toBe(source);
});

test('each planted fault has a name of its own', () => {
  expect(new Set(PLANTED.map(({ name }) => name)).size).toBe(PLANTED.length);
});
