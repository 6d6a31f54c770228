/** The token that comes in on stdin. */

import { isUtf8 } from 'node:buffer';
import { UsageError } from './exit.js';
import type { Streams, Terminal } from './terminal.js';

/** The longest input, in bytes: the longest token that can be accepted, and what may be around it. */
const INPUT_LIMIT = 66_000;
/** When a person is told what is waited for, and when it is given up, in milliseconds. */
const TELL_AFTER = 2_000;
const WAIT_LIMIT = 60_000;

/**
 * Null if nothing comes in, or stdin is a terminal. A `Bearer` in front of the token, quotes and white space around it are left out.
 * Rejects with {@link UsageError} for what cannot be one token. Nothing of the input is shown.
 */
export async function tokenFrom(stdin: Streams['stdin'], terminal: Terminal): Promise<string | null> {
  if (stdin.isTTY === true) return null;
  const bytes = await inputOf(stdin, terminal);
  // PowerShell writes UTF-16 into files.
  if (!isUtf8(bytes) || bytes.includes(0)) throw new UsageError('What came in on stdin is not text in UTF-8');
  const header = withoutQuotes(bytes.toString());
  const text = withoutQuotes(header.replace(/^(authorization:\s*)?bearer\s+/i, ''));
  if (/\s/.test(text)) throw new UsageError('More than one word came in on stdin: one token is expected');
  return text === '' ? null : text;
}

function withoutQuotes(text: string): string {
  return text
    .trim()
    .replace(/^(["'])(.*)\1$/s, '$2')
    .trim();
}

function inputOf(stdin: Streams['stdin'], terminal: Terminal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const telling = setTimeout(() => {
      terminal.tell('Waiting for the token on stdin. Press Ctrl-D after it, or use --no-token.');
    }, TELL_AFTER);
    const givingUp = setTimeout(() => {
      end(() => reject(new UsageError('No token came in on stdin within a minute. To check all else, use --no-token')));
    }, WAIT_LIMIT);
    function end(settle: () => void): void {
      clearTimeout(telling);
      clearTimeout(givingUp);
      stdin.destroy();
      settle();
    }
    stdin.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > INPUT_LIMIT) {
        end(() => reject(new UsageError(`More than ${INPUT_LIMIT} bytes came in on stdin: that is not a token`)));
      }
    });
    stdin.once('end', () => end(() => resolve(Buffer.concat(chunks))));
    stdin.once('error', () => end(() => reject(new UsageError('stdin cannot be read'))));
  });
}
