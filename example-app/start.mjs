// @ts-check
/**
 * What `npm start` runs: takes the port, builds the package if it has changed, and then runs the site. `PORT` is the site's port,
 * and `REDIS_URL` a Redis that keeps the sessions.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('../scripts/build.mjs', import.meta.url));

const port = portOf(process.env['PORT'] || '3000');
const { server, answer } = await openServer(port);
console.log('Tidemark, the example site, is starting.');
await build();
const { run } = await import('./main.mjs');
answer(await run({ server, redisUrl: process.env['REDIS_URL'] || undefined }));

/** @param {string} text */
function portOf(text) {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0 && number <= 65_535) return number;
  return fail('PORT must be a number from 0 to 65535.');
}

/**
 * Before anything else, so that nobody waits only to learn that the port is in use. Requests wait until `answer()` is called.
 * @param {number} number
 */
async function openServer(number) {
  /** @type {(app: import('node:http').RequestListener) => void} */
  let answer = () => undefined;
  /** @type {Promise<import('node:http').RequestListener>} */
  const app = new Promise((resolve) => (answer = resolve));
  const opened = createServer((req, res) => void app.then((listener) => listener(req, res)));
  try {
    await once(opened.listen(number), 'listening');
    return { server: opened, answer };
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${message})`;
    return fail(`Port ${String(number)} ${why}. Try another one: PORT=${String(number + 1)} npm start`);
  }
}

/** Builds what the site needs, if it has changed: no types, and nothing is checked. */
async function build() {
  const [code] = await once(spawn(process.execPath, [BUILD, '--javascript'], { stdio: 'inherit' }), 'close');
  if (code !== 0) fail('The package could not be built.');
}

/** @param {string} sentence @returns {never} */
function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
