/** The pauses of this process's event loop, and what they consist of. */

import { existsSync, readFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import process from 'node:process';

const TICK = 1;
/** What Linux knows of the main thread. The second number: for how many nanoseconds it has waited for a core. */
const SCHEDSTAT = '/proc/self/schedstat';
const canTellWaiting = existsSync(SCHEDSTAT);

const gcs = [];
const observer = new PerformanceObserver((list) => gcs.push(...list.getEntries()));
observer.observe({ entryTypes: ['gc'] });

let timer;
let turns = [];

export function startMeter() {
  clearInterval(timer);
  turns = [];
  gcs.length = 0;
  let last = reading();
  timer = setInterval(() => {
    const now = reading();
    if (now.at - last.at > 2 * TICK) turns.push({ from: last.at, took: now.at - last.at, ran: ranBetween(last, now) });
    last = now;
  }, TICK);
}

/**
 * In milliseconds. `raw`: the longest pause. `own`: the longest without garbage collection and without the time for which the
 * machine did something else. `gc`: the longest garbage collection.
 */
export function stopMeter() {
  clearInterval(timer);
  gcs.push(...observer.takeRecords());
  return {
    raw: longest(turns.map(({ took }) => took - TICK)),
    own: longest(turns.map(ownTime)),
    gc: longest(gcs.map(({ duration }) => duration)),
  };
}

function ownTime({ from, took, ran }) {
  const inGc = gcs.reduce((sum, { startTime, duration }) => {
    return sum + Math.max(0, Math.min(from + took, startTime + duration) - Math.max(from, startTime));
  }, 0);
  // The garbage collection had its share of the waiting.
  return ran * (1 - Math.min(1, inGc / took));
}

/** How long the main thread ran at most: it did not run while it waited for a core, and all threads together ran for `cpu`. */
function ranBetween(last, now) {
  return Math.max(0, Math.min(now.at - last.at - (now.waited - last.waited) - TICK, now.cpu - last.cpu));
}

function reading() {
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), waited: waitedForCore(), cpu: (user + system) / 1000 };
}

function waitedForCore() {
  return canTellWaiting ? Number(readFileSync(SCHEDSTAT, 'utf8').split(' ')[1]) / 1e6 : 0;
}

function longest(times) {
  return times.reduce((most, time) => Math.max(most, time), 0);
}
