/** A clock for durations that must not seem shorter than they were. */

/** The smallest jump of the wall clock that counts, in milliseconds. The two clocks cannot be compared more exactly. */
const SHORTEST_SUSPENSION = 100;

interface Clock {
  /** In milliseconds. */
  now(): number;
}

/**
 * Makes a clock in milliseconds, from `Date` and `performance`, that never goes back, and that also counts the time during
 * which the host was suspended.
 *
 * On Linux, `performance.now()` reads CLOCK_MONOTONIC, which stands still while the host is suspended. The wall clock does
 * not: if it moved ahead of the monotonic clock between two readings, the host was suspended in between, or the wall clock
 * was set. In both cases the time counts. A wall clock that is set back changes nothing.
 */
export function elapsedClock(wall: Clock, monotonic: Clock): () => number {
  let suspended = 0;
  let lead = wall.now() - monotonic.now();
  return () => {
    let now = monotonic.now();
    let newLead = wall.now() - now;
    if (newLead - lead >= SHORTEST_SUSPENSION) {
      // The process may have been stopped between the two readings.
      now = monotonic.now();
      newLead = wall.now() - now;
      if (newLead - lead >= SHORTEST_SUSPENSION) suspended += newLead - lead;
    }
    // Each reading is compared with the one before it, so that small differences do not add up.
    lead = newLead;
    return now + suspended;
  };
}
