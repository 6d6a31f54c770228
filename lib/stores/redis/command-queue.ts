/** Which commands wait for their turn, in which order, and which are refused because their turn would come too late. */

import { StoreBusy } from '../store.js';

/** How many `timeout`s a command may wait for its turn. */
export const PATIENCE = 10;

export interface Command {
  send(): void;
  refuse(error: Error): void;
}

interface Waiting {
  readonly command: Command;
  readonly since: number;
}

export interface CommandQueueOptions {
  /** In milliseconds. */
  readonly timeout: number;
  /** In milliseconds, on a clock that never goes back. */
  readonly now: () => number;
}

/**
 * Endings go first. The other commands keep their order. How long the last one will wait is estimated from how many answers
 * came in a `timeout` of late: if that is too long, it is refused at once.
 */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #endings = new Fifo<Waiting>();
  readonly #others = new Fifo<Waiting>();
  readonly #rate: AnswerRate;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
    this.#rate = new AnswerRate(options.timeout);
  }

  get size(): number {
    return this.#endings.size + this.#others.size;
  }

  add(command: Command, isEnding: boolean): void {
    const now = this.#options.now();
    if (this.size === 0) this.#rate.begin(now);
    (isEnding ? this.#endings : this.#others).push({ command, since: now });
    this.#refuseTooLate(now);
  }

  /** Removes the next one. */
  take(): Command | undefined {
    return (this.#endings.shift() ?? this.#others.shift())?.command;
  }

  /** A command that was sent was answered. */
  noteAnswer(): void {
    if (this.size === 0) return;
    const now = this.#options.now();
    this.#rate.note(now);
    this.#refuseTooLate(now);
  }

  refuseAll(error: Error): void {
    for (let command = this.take(); command !== undefined; command = this.take()) command.refuse(error);
  }

  /** From the end of the queue: those before it may come in time. */
  #refuseTooLate(now: number): void {
    const perMs = this.#rate.perMs(now);
    if (perMs === null) return;
    const longest = PATIENCE * this.#options.timeout;
    for (let { last } = this.#others; last !== undefined; { last } = this.#others) {
      if (now - last.since + this.size / perMs <= longest) return;
      this.#others.pop()?.command.refuse(new StoreBusy());
    }
  }
}

/** How many answers come while commands wait. Counted over whole stretches of a `timeout`, because answers come in bursts. */
class AnswerRate {
  readonly #stretch: number;
  #since = 0;
  #count = 0;
  /** Of the last two stretches. The better one counts: a short pause is no reason to refuse anything. */
  #rates: number[] = [];

  constructor(stretch: number) {
    this.#stretch = stretch;
  }

  begin(now: number): void {
    this.#since = now;
    this.#count = 0;
    this.#rates = [];
  }

  note(now: number): void {
    this.#count += 1;
    this.#endStretch(now);
  }

  /** Null: not known yet. */
  perMs(now: number): number | null {
    this.#endStretch(now);
    return this.#rates.length === 0 ? null : Math.max(...this.#rates);
  }

  #endStretch(now: number): void {
    const took = now - this.#since;
    if (took < this.#stretch) return;
    this.#rates = [this.#count / took, ...this.#rates.slice(0, 1)];
    this.#since = now;
    this.#count = 0;
  }
}

/** In order of arrival. Arrays move all items when the first one is removed. */
class Fifo<Item> {
  #items: Item[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  get last(): Item | undefined {
    return this.size === 0 ? undefined : this.#items.at(-1);
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#first];
    this.#first += 1;
    // What was removed is not kept in memory for longer than it has to be.
    if (2 * this.#first >= this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  pop(): Item | undefined {
    return this.size === 0 ? undefined : this.#items.pop();
  }
}
