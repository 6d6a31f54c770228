/** The clients in a storm of revocations. Each rate is that of an open loop: nobody waits for an answer before asking again. */

import { connect } from 'node:net';
import jwt from 'jsonwebtoken';
import { answerQuestions } from './support.mjs';

/** How often what is due is sent, in milliseconds. */
const STEP = 5;
const PREPARED_AT_ONCE = 64;
let prepared = [];

answerQuestions({
  /** Signs in `count` users. */
  async prepare({ url, issuer, prefix, count }) {
    const people = Array.from({ length: count }, (_, index) => ({ subject: `${prefix}-${String(index)}` }));
    const waiting = people.values();
    const worker = async () => {
      for (const person of waiting) {
        const claims = { iss: issuer.issuer, sub: person.subject, sid: 's' };
        person.headers = { authorization: `Bearer ${jwt.sign(claims, issuer.secret, { expiresIn: '1h' })}` };
        let { status, body } = await sent('GET', url, person.headers);
        // A busy machine.
        while (status === 503) ({ status, body } = await sent('GET', url, person.headers));
        if (status !== 200) throw new Error(`A sign-in was answered with ${String(status)}`);
        person.handle = JSON.parse(body).handle;
      }
    };
    await Promise.all(Array.from({ length: PREPARED_AT_ONCE }, worker));
    prepared = people;
    return {};
  },

  /** Each of those signed in signs out. */
  async signOut({ url, rate }) {
    return summary(
      await openLoop(rate, prepared, async ({ headers }, at) => [
        await timed('DELETE', `${url}/sessions/current`, headers, at),
      ]),
    );
  },

  /** Their sessions are ended by calls. They are told to the application in batches, because a request each would cost more. */
  async revoke({ url, rate }) {
    const size = (rate * STEP) / 1000;
    const batches = Array.from({ length: Math.ceil(prepared.length / size) }, (_, index) =>
      prepared.slice(index * size, (index + 1) * size).map(({ subject, handle }) => ({ subject, handle })),
    );
    const settled = await openLoop(1000 / STEP, batches, async (batch, at) => {
      const { body } = await sent(
        'POST',
        `${url}/revoke`,
        { 'content-type': 'application/json' },
        JSON.stringify(batch),
      );
      return JSON.parse(body).map((outcome) => ({ status: outcome.status, took: outcome.at - at }));
    });
    return summary(settled);
  },

  /** Requests of those signed in, in turn. */
  async ask({ url, rate, seconds }) {
    const turns = Array.from({ length: rate * seconds }, (_, index) => prepared[index % prepared.length]);
    return summary(await openLoop(rate, turns, async ({ headers }, at) => [await timed('GET', url, headers, at)]));
  },
});

/** Calls `act` with each item and the moment at which it was due, at this rate per second. */
async function openLoop(rate, items, act) {
  const start = performance.timeOrigin + performance.now();
  const acts = [];
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = ((performance.timeOrigin + performance.now() - start) / 1000) * rate;
      while (acts.length < Math.min(due, items.length)) {
        acts.push(act(items[acts.length], start + (acts.length / rate) * 1000));
      }
      if (acts.length < items.length) return;
      clearInterval(timer);
      resolve();
    }, STEP);
  });
  return (await Promise.all(acts)).flat();
}

async function timed(method, url, headers, at) {
  const { status } = await sent(method, url, headers);
  return { status, took: performance.timeOrigin + performance.now() - at };
}

/** Node's own client would take more CPU time than there is for a storm. */
class Connection {
  #socket = null;
  #text = '';
  #settle = null;

  ask(port, text) {
    this.#socket ??= this.#open(port);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(text);
    });
  }

  #open(port) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
    socket.on('data', (chunk) => this.#read(chunk));
    for (const event of ['error', 'end'])
      socket.on(event, (error) => this.#settle.reject(error ?? new Error('Closed')));
    return socket;
  }

  #read(chunk) {
    this.#text += chunk;
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const [, length = 0] = /\r\ncontent-length: (\d+)/i.exec(this.#text.slice(0, end)) ?? [];
    const body = this.#text.slice(end + 4);
    if (body.length < Number(length)) return;
    const status = Number(this.#text.slice(9, 12));
    this.#text = '';
    this.#settle.resolve({ status, body });
  }
}

/** As many as proxies in front may keep. More requests than these wait, and their wait counts. */
const idle = Array.from({ length: 1000 }, () => new Connection());
const waiting = [];

async function sent(method, url, headers, body = '') {
  const { port, host, pathname } = new URL(url);
  const head = Object.entries({ host, ...headers, 'content-length': body.length });
  const text = `${method} ${pathname} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
  const connection = idle.pop() ?? (await new Promise((resolve) => void waiting.push(resolve)));
  const answer = await connection.ask(port, text);
  const next = waiting.shift();
  if (next === undefined) idle.push(connection);
  else next(connection);
  return answer;
}

function summary(settled) {
  const done = settled.filter(({ status }) => status < 300);
  const refused = settled.filter(({ status }) => status === 503);
  return {
    offered: settled.length,
    done: spread(done),
    refused: spread(refused),
    failed: settled.length - done.length - refused.length,
  };
}

function spread(settled) {
  const times = settled.map(({ took }) => took).sort((a, b) => a - b);
  const at = (share) => times[Math.ceil(times.length * share) - 1] ?? null;
  return { count: times.length, p50: at(0.5), p99: at(0.99) };
}
