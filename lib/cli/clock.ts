/** Times and durations in words. */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** A duration in milliseconds, in its two largest units: `1 h 5 min`. */
export function shownDuration(milliseconds: number): string {
  let rest = Math.round(Math.abs(milliseconds) / 1000) * 1000;
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${String(count)} ${unit}`);
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ');
}

/** A moment in milliseconds since 1970, with how far it is from `now`. */
export function shownMoment(at: number, now: number): string {
  const date = new Date(at);
  const text = Number.isNaN(date.getTime()) ? 'a time that no calendar has' : date.toISOString().replace('.000Z', 'Z');
  return at > now ? `${text}, in ${shownDuration(at - now)}` : `${text}, ${shownDuration(now - at)} ago`;
}
