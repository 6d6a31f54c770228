/** A site of Next.js behind the custom server of docs/frameworks.md. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;
const read = (name) => readFileSync(join(here, name), 'utf8');

/** The blocks of the guide that contain these words. Their TypeScript is JavaScript as well. */
function block(words) {
  const guide = read('../../../docs/frameworks.md');
  const codes = Array.from(guide.matchAll(/^```(?:ts|js)\n(.*?)^```$/gms), ([, code]) => code);
  const found = codes.find((code) => code.includes(words));
  if (found === undefined) throw new Error(`docs/frameworks.md has no block with ${words}`);
  return found;
}

export const NEXT_SITE = {
  name: 'next',
  redis: true,
  needs: { next: '16', react: '19', 'react-dom': '19', express: '5', jsonwebtoken: '9' },
  files: {
    'sessions.mjs': block('export const sessions'),
    'server.mjs': block("from 'next'"),
    'check.mjs': read('check.mjs'),
    'app/layout.jsx': read('layout.jsx'),
    'app/me/page.jsx': read('me.jsx'),
    'pages/old.jsx': read('old.jsx'),
  },
  steps: [{ run: ['next', 'build'] }, { run: ['node', 'check.mjs'], says: /^All answers are as expected\.$/m }],
};
