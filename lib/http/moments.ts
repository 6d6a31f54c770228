/** Times in words for the page: "3 minutes ago". */

import { markup, type Html } from './markup.js';

/** From the smallest: its length in milliseconds, and the count at which the next unit is used. */
const UNITS = [
  ['minute', 60_000, 60],
  ['hour', 3_600_000, 24],
  ['day', 86_400_000, 7],
  ['week', 7 * 86_400_000, 5],
  ['month', 30 * 86_400_000, 12],
  ['year', 365 * 86_400_000, Infinity],
] as const;
const DAY = 86_400_000;
const NEAR_DAYS = 7;

/** Times as people read them. Each is a `<time>` with the exact time and its time zone in the title. */
export class MomentsInWords {
  readonly #now: number;
  // "yesterday" could be up to 47 hours ago: the hours or days are counted, and only "now" is a word.
  readonly #counted: Intl.RelativeTimeFormat;
  readonly #present: string;
  readonly #day: Intl.DateTimeFormat | null;
  readonly #exact: Intl.DateTimeFormat;

  /** `timeZone`: an IANA name; null if the reader's is not known. Then no dates are shown, and the titles are in UTC. */
  constructor(locale: string, timeZone: string | null, now: number) {
    this.#now = now;
    this.#counted = new Intl.RelativeTimeFormat(locale);
    this.#present = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(0, 'second');
    this.#day = timeZone === null ? null : new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
    this.#exact = new Intl.DateTimeFormat(locale, {
      year: 'numeric',
      month: 'long',
      day: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
      timeZone: timeZone ?? 'UTC',
    });
  }

  /** "3 minutes ago". A time in the future, by a clock that differs, is "now". */
  ago(moment: string): string {
    return this.#distance(Math.min(0, Date.parse(moment) - this.#now));
  }

  /** "in 23 hours", "2 days ago"; the date if it is a week or more away and the time zone is known. */
  near(moment: string): Html {
    const away = Date.parse(moment) - this.#now;
    const isNear = Math.round(Math.abs(away) / DAY) < NEAR_DAYS;
    return this.at(moment, this.#day === null || isNear ? this.#distance(away) : this.#day.format(Date.parse(moment)));
  }

  at(moment: string, text: string): Html {
    return markup`<time datetime="${moment}" title="${this.#exact.format(Date.parse(moment))}">${text}</time>`;
  }

  /** Rounded, in the largest unit of which there is one: 59 minutes and 40 seconds are an hour, not 60 minutes. */
  #distance(away: number): string {
    for (const [unit, length, next] of UNITS) {
      const count = Math.round(Math.abs(away) / length);
      if (count === 0) break;
      if (count < next) return this.#counted.format(away < 0 ? -count : count, unit);
    }
    return this.#present;
  }
}
