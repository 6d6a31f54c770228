/** Times in words for the page: "3 minutes ago". */

import { markup, type Html } from './markup.js';

const UNITS = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['week', 7 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;
const NEAR = 7 * 86_400_000;

/** Times as people read them. Each is a `<time>` with the exact time and its time zone in the title. */
export class MomentsInWords {
  readonly #now: number;
  // "yesterday" could be up to 47 hours ago: the hours or days are counted, and only "now" is a word.
  readonly #counted: Intl.RelativeTimeFormat;
  readonly #present: string;
  readonly #day: Intl.DateTimeFormat;
  readonly #exact: Intl.DateTimeFormat;

  /** `timeZone`: an IANA name. */
  constructor(locale: string, timeZone: string, now: number) {
    this.#now = now;
    this.#counted = new Intl.RelativeTimeFormat(locale);
    this.#present = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(0, 'second');
    this.#day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
    this.#exact = new Intl.DateTimeFormat(locale, {
      year: 'numeric',
      month: 'long',
      day: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
      timeZone,
    });
  }

  /** "3 minutes ago". A time in the future, by a clock that differs, is "now". */
  ago(moment: string): Html {
    return this.at(moment, this.#distance(Math.min(0, Date.parse(moment) - this.#now)));
  }

  /** "in 23 hours", "2 days ago"; the date if it is a week or more away. */
  near(moment: string): Html {
    const away = Date.parse(moment) - this.#now;
    return this.at(moment, Math.abs(away) < NEAR ? this.#distance(away) : this.#day.format(Date.parse(moment)));
  }

  at(moment: string, text: string): Html {
    return markup`<time datetime="${moment}" title="${this.#exact.format(Date.parse(moment))}">${text}</time>`;
  }

  #distance(away: number): string {
    for (const [unit, length] of UNITS) {
      const count = Math.trunc(away / length);
      if (count !== 0) return this.#counted.format(count, unit);
    }
    return this.#present;
  }
}
