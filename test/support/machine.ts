/** A clock for limits on real time: it stands still while the machine has no time for this process. */

/** Milliseconds between two ticks. A shorter time would be lost in the precision of timers. */
const TICK = 5;
/** How late a tick is on a quiet machine, by the rounding of timers. */
const ROUNDING = 1;

let tickedAt = performance.now();
let late = 0;

setInterval(() => {
  const now = performance.now();
  late += Math.max(0, now - tickedAt - TICK - ROUNDING);
  tickedAt = now;
}, TICK).unref();

/**
 * Milliseconds, from any start. A promise of at most a second is judged by this clock: on a quiet machine it goes as
 * the real one does, and on a busy one it leaves out the time by which this process's own timers were late.
 */
export function machineNow(): number {
  return performance.now() - late;
}
