/** Work that is repeated: one run at a time, shared by all who wait for it, and retried ever more rarely if it fails. */

interface Clock {
  /** In milliseconds since 1970. */
  now(): number;
}

/** After the first of several failures in a row; each further one doubles it. In milliseconds. */
const FIRST_RETRY = 1_000;

export interface RefreshOptions {
  readonly clock: Clock;
  readonly work: () => Promise<void>;
  /** A run failed after one that succeeded, or the first one failed. Must not throw. */
  readonly onDown: (error: Error) => void;
  /** A run succeeded after one that failed. Must not throw. */
  readonly onUp: () => void;
}

export class Refresh {
  readonly #options: RefreshOptions;
  readonly #sinceSuccess: Stopwatch;
  readonly #sinceFailure: Stopwatch;
  #running: Promise<void> | undefined;
  #failures = 0;
  #lastError: Error | null = null;

  constructor(options: RefreshOptions) {
    this.#options = options;
    this.#sinceSuccess = new Stopwatch(options.clock);
    this.#sinceFailure = new Stopwatch(options.clock);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Why the last run failed; null if it succeeded, and before the first. */
  get lastError(): Error | null {
    return this.#lastError;
  }

  /** Milliseconds since the last run that succeeded; `Infinity` before it. `now`: by the clock, if it was just read. */
  age(now?: number): number {
    return this.#sinceSuccess.elapsed(now);
  }

  /** When the next run is due after one that failed, at most `longest` later. In milliseconds; 0 or less means now. */
  retryIn(longest: number): number {
    if (this.#failures === 0) return 0;
    return Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), longest) - this.#sinceFailure.elapsed();
  }

  /** Joins the run that is under way, or begins one. Never rejects: `lastError` says how it ended. */
  run(): Promise<void> {
    this.#running ??= this.#runAndReport().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #runAndReport(): Promise<void> {
    const { work, onDown, onUp } = this.#options;
    try {
      await work();
    } catch (error) {
      this.#lastError = error instanceof Error ? error : new Error('The keys cannot be fetched', { cause: error });
      this.#failures += 1;
      this.#sinceFailure.restart();
      if (this.#failures === 1) onDown(this.#lastError);
      return;
    }
    const wasDown = this.#failures > 0;
    this.#lastError = null;
    this.#failures = 0;
    this.#sinceSuccess.restart();
    if (wasDown) onUp();
  }
}

/** For a clock that may be set back: a start in the future counts as now. */
export class Stopwatch {
  readonly #clock: Clock;
  #startedAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  restart(): void {
    this.#startedAt = this.#clock.now();
  }

  /** Milliseconds since the last restart; `Infinity` before the first. */
  elapsed(now = this.#clock.now()): number {
    if (now < this.#startedAt) this.#startedAt = now;
    return now - this.#startedAt;
  }
}
