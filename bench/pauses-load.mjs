/** Another user's requests, one after the other, in a process of its own. */

import { Agent, get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { answerQuestions, percentile } from './support.mjs';

const agent = new Agent({ keepAlive: true });
/** Between two requests of one sender, in milliseconds. */
const GAP = 2;
const SENDERS = 8;

let running;

answerQuestions({
  async ask({ port, token, for: duration }) {
    start(port, token);
    await pause(duration);
    return stop();
  },
  start({ port, token }) {
    start(port, token);
  },
  stop,
});

function start(port, token) {
  const run = { isOver: false, times: [] };
  const senders = Array.from({ length: SENDERS }, async () => {
    while (!run.isOver) {
      const startedAt = performance.now();
      await ask(port, token);
      run.times.push(performance.now() - startedAt);
      await pause(GAP);
    }
  });
  running = { run, senders };
}

async function stop() {
  const { run, senders } = running;
  run.isOver = true;
  await Promise.all(senders);
  return { p99: percentile(run.times, 0.99), longest: percentile(run.times, 1) };
}

function ask(port, token) {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume().once('end', resolve);
    }).once('error', reject);
  });
}
