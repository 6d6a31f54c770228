#!/usr/bin/env node
/** The command `managed-sessions`. */

import '../node-version.js';
import { createRequire } from 'node:module';
import process from 'node:process';
import { main } from './main.js';
import { createTerminal, visible } from './terminal.js';

const { stdin, stdout, stderr, env } = process;
const streams = { stdin, stdout, stderr, env };
const terminal = createTerminal(streams);
const interrupting = new AbortController();
let situation = 'Nothing was done.';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    interrupting.abort();
    terminal.tell(`\nInterrupted. ${situation}`);
    process.exit(130);
  });
}
// Whoever reads the result, such as head, may close it early. On a full disk, the result is lost.
stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') return;
  terminal.tell(`The result cannot be written: ${String(code)}. ${situation}`);
  process.exit(1);
});
// A terminal that is gone does not stop an ending half way.
stderr.on('error', () => undefined);
// What the package warns of is said in its own words, or is among the findings of doctor.
process.removeAllListeners('warning');
process.on('warning', ({ name, message }) => {
  if (name === 'ManagedSessionsWarning' && process.argv[2] !== 'doctor') terminal.tell(visible(message));
});

const interrupts = {
  signal: interrupting.signal,
  say(text: string) {
    situation = text;
  },
};
const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
void main(process.argv.slice(2), { streams, terminal, interrupts, version }).then((code) => {
  process.exitCode = code;
});
