// Prints how many bytes of heap a session takes whose first request had 13 KB of headers. Run with --expose-gc. With the
// argument `client`, the option of that name tells the client from the same headers.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';

const { managedSessions } = await import(new URL('../../dist/esm/index.js', import.meta.url).href);

const SESSIONS = 500;
/** Before the first measurement. */
const WARM_UP = 200;
const SECRET = 'a secret for tests, of at least 32 bytes';
const FILLER = 4000;

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function tokenOf(number) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'https://id.example.com/',
    sub: `user-${number}`,
    sid: `session-${number}`,
    iat: now,
    exp: now + 3600,
  };
  const input = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}

const client = ({ headers }) => ({ ip: headers['x-forwarded-for'].split(',')[0], userAgent: headers['user-agent'] });
const sessions = managedSessions({
  issuer: { issuer: 'https://id.example.com/', secret: SECRET },
  trustProxy: true,
  ...(process.argv[2] === 'client' && { client }),
});
const server = createServer((req, res) => {
  sessions.authenticate(req).then(
    () => res.end('ok'),
    (error) => res.writeHead(500).end(String(error)),
  );
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

async function visit(number) {
  // Different in every request, so that no two share a string.
  const filler = `${String(number).padStart(8, '0')}`.repeat(FILLER / 8);
  const headers = {
    'User-Agent': `Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0 ${filler}`,
    'X-Forwarded-For': `2001:db8:1:2:3:4:5:${(number % 60_000).toString(16)}, ${'203.0.113.7, '.repeat(FILLER / 13)}10.0.0.1`,
    Cookie: `a=${filler}; login_token=${tokenOf(number)}; b=1`,
  };
  const sent = request({ port: server.address().port, host: '127.0.0.1', agent, headers });
  sent.end();
  const [response] = await once(sent, 'response');
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 200) throw new Error(`The answer is ${response.statusCode}`);
}

function heapUsed() {
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

for (let number = 0; number < WARM_UP; number += 1) await visit(number);
const before = heapUsed();
for (let number = WARM_UP; number < WARM_UP + SESSIONS; number += 1) await visit(number);
console.log(Math.round((heapUsed() - before) / SESSIONS));

await sessions.close();
agent.destroy();
server.close();
server.closeAllConnections();
