/** Asks the pages of a Next site behind the custom server of docs/frameworks.md, also by the URLs of their data. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import jwt from 'jsonwebtoken';

const LOGIN_SECRET = 'the secret of a site, of more than 32 bytes';

const free = createServer().listen(0, '127.0.0.1');
await once(free, 'listening');
const { port } = free.address();
free.close();
await once(free, 'close');

const env = { ...process.env, LOGIN_SECRET, PORT: String(port), NODE_ENV: 'production' };
const server = spawn(process.execPath, ['server.mjs'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
const get = (path, headers = {}) => fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: 'manual' });

const token = jwt.sign({ sub: 'ada', sid: `s${port}` }, LOGIN_SECRET, { issuer: 'my-app', expiresIn: '1h' });
const asAda = { authorization: `Bearer ${token}` };
const forged = { 'x-user-id': 'admin' };

const listens = () =>
  get('/').then(
    () => true,
    () => server.exitCode !== null,
  );

try {
  while (!(await listens())) await pause(100);
  const data = `/_next/data/${readFileSync('.next/BUILD_ID', 'utf8')}/old.json`;
  for (const path of ['/me', '/old', data]) {
    for (const headers of [asAda, { ...asAda, ...forged }])
      assert.match(await (await get(path, headers)).text(), /user:ada|"id":"ada"/, path);
    for (const headers of [{}, forged]) {
      const answer = await get(path, headers);
      const text = `${answer.headers.get('location')} ${await answer.text()}`;
      assert.match(text, /\/sign-in/, path);
      assert.doesNotMatch(text, /user:|admin|"id"/, path);
    }
  }
  assert.doesNotMatch(await (await get('/me?_rsc', { ...forged, rsc: '1' })).text(), /user:|admin/);

  const page = await get('/account/sessions', { ...asAda, accept: 'text/html' });
  assert.equal(page.status, 200);
  const out = await fetch(`http://127.0.0.1:${port}/logout`, { method: 'POST', headers: asAda });
  assert.equal(out.status, 204);
  assert.match((await get('/me', asAda)).headers.get('location') ?? '', /\/sign-in/);
  console.log('All answers are as expected.');
} finally {
  server.kill();
}
