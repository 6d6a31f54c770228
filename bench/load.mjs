/** The load, from a process of its own: autocannon for throughput, and single requests for the cost of a first one. */

import { Agent, request } from 'node:http';
import autocannon from 'autocannon';
import { answerQuestions } from './support.mjs';

answerQuestions({ fire, inTurn });

/** Users per connection. With all of them, a connection would take longer to set up than to measure. */
const SHARE = 16;

/** 64 connections, which share all users among them. */
async function fire({ url, headers, seconds, connections = 64 }) {
  let next = 0;
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    setupClient(client) {
      const from = (next++ * SHARE) % headers.length;
      client.setRequests(headers.slice(from, from + SHARE).map((sent) => ({ headers: sent })));
    },
  });
  return {
    requests: result['2xx'],
    duration: result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    errors: result.errors + result.timeouts + result.non2xx,
  };
}

/** One request for each of `headers`, one after the other, on one connection. Milliseconds of each. */
async function inTurn({ url, headers }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const took = [];
  for (const sent of headers) took.push(await timed(url, sent, agent));
  agent.destroy();
  return { took };
}

function timed(url, headers, agent) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    request(url, { headers, agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`responded with ${String(response.statusCode)}`));
      response.resume().on('end', () => resolve(performance.now() - start));
    })
      .on('error', reject)
      .end();
  });
}
