/** What is written to the terminal: text from clients and tokens cannot move the cursor, hide other text or reorder it. */

import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { oneLine } from '../core/diagnosis.js';

type Stream<Of> = Of & { readonly isTTY?: boolean };

export interface Streams {
  readonly stdin: Stream<Readable>;
  readonly stdout: Stream<Writable>;
  readonly stderr: Stream<Writable>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

const CODES: Readonly<Record<Colour, string>> = { red: '31', green: '32', yellow: '33', bold: '1', dim: '2' };

export interface Terminal {
  /** Whether a person can be asked. */
  readonly isInteractive: boolean;
  /** A line of the result. */
  print(line: string): void;
  /** A line for the person, never part of the result. */
  tell(line: string): void;
  /** A line that replaces the one before it, if a person watches. Empty: removes it. */
  progress(line: string): void;
  paint(text: string, ...colours: readonly Colour[]): string;
  /** Whether the answer begins with y. Without a person, or if `signal` fires: no. */
  confirm(question: string, signal: AbortSignal): Promise<boolean>;
}

/** A text on one line, in which control characters, those that reorder text, and tokens are replaced. */
export const visible = oneLine;

/** JSON in which no character is one that a terminal obeys. */
export function visibleJson(value: unknown): string {
  const json = JSON.stringify(value, null, 2);
  return json.replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

export function createTerminal({ stdin, stdout, stderr, env }: Streams): Terminal {
  const isPlain = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  const hasColour = stdout.isTTY === true && !isPlain;
  const isWatched = stderr.isTTY === true && env['TERM'] !== 'dumb';
  const isInteractive = stdin.isTTY === true && stderr.isTTY === true;
  let isProgressShown = false;

  function clear(): void {
    if (isProgressShown) stderr.write('\r\u001b[K');
    isProgressShown = false;
  }

  return {
    isInteractive,
    print(line) {
      clear();
      stdout.write(`${line}\n`);
    },
    tell(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    progress(line) {
      clear();
      if (!isWatched || line === '') return;
      stderr.write(line);
      isProgressShown = true;
    },
    paint(text, ...colours) {
      if (!hasColour) return text;
      return `\u001b[${colours.map((colour) => CODES[colour]).join(';')}m${text}\u001b[0m`;
    },
    async confirm(question, signal) {
      if (!isInteractive) return false;
      clear();
      const asking = createInterface({ input: stdin, output: stderr });
      // Without a listener of its own, readline keeps Ctrl-C for itself.
      asking.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      const closed = new Promise<string>((resolve) => asking.once('close', () => resolve('')));
      const answered = asking.question(`${question} [y/N] `, { signal }).catch(() => '');
      const answer = await Promise.race([answered, closed]);
      asking.close();
      return /^y(es)?$/i.test(answer.trim());
    },
  };
}

/** Rows in aligned columns, two spaces apart. The last column is not padded. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, index) => Math.max(widest[index] ?? 0, widthOf(cell))),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd(),
  );
}

function widthOf(text: string): number {
  return [...text].length;
}
