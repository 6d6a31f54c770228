/** Commands that were sent, and what their outcomes say of the server. */

/** The limits of how many commands are in progress at the same time: more while Redis keeps up, fewer while it does not. */
export const FEWEST = 8;
const MOST = 128;

/** How a server behaves. */
export interface Behaviour {
  timeoutsInARow: number;
  /**
   * How many commands may be in progress. One more after each answer that came within a quarter of the timeout, and one less
   * otherwise: so Redis can answer all of them within the timeout.
   */
  slots: number;
  inProgress: number;
  answeredAt: number;
}

/** A command that was sent. */
export class Turn {
  readonly #server: Behaviour;
  readonly #timeout: number;
  readonly #sentAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  /** `onTimeout` is told whether nothing at all was answered since it was sent. */
  constructor(server: Behaviour, timeout: number, onTimeout: (isSilent: boolean) => void) {
    this.#server = server;
    this.#timeout = timeout;
    server.inProgress += 1;
    this.#timer = afterReading(() => {
      if (this.#isOver) return;
      this.#end(false);
      server.timeoutsInARow += 1;
      onTimeout(server.answeredAt <= this.#sentAt);
    }, timeout);
  }

  /** There is an answer. Returns whether it is too late. */
  end(): boolean {
    const now = performance.now();
    const wasOver = this.#isOver;
    clearTimeout(this.#timer);
    if (!wasOver) this.#end(now - this.#sentAt <= this.#timeout / 4);
    this.#server.timeoutsInARow = 0;
    this.#server.answeredAt = now;
    return wasOver;
  }

  #end(isSoon: boolean): void {
    const server = this.#server;
    this.#isOver = true;
    server.inProgress -= 1;
    server.slots = Math.min(MOST, Math.max(FEWEST, server.slots + (isSoon ? 1 : -1)));
  }
}

/** A process that was itself busy for that long first reads what has arrived. */
export function afterReading(act: () => void, ms: number): NodeJS.Timeout {
  return setTimeout(() => setImmediate(act), ms);
}
