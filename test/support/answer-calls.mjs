// A child process of a test answers calls over IPC: { id, name, args } with { id, value } or { id, error }.

import process from 'node:process';

/** `calls`: the functions by name. They may be asynchronous. */
export function answerCalls(calls) {
  process.on('message', async ({ id, name, args }) => {
    try {
      process.send({ id, value: await calls[name](...args) });
    } catch (error) {
      process.send({ id, error: `${error.code ?? error.name}: ${error.message}` });
    }
  });
  // The test is over, or it was killed: the server and the Redis connections here must not outlive it.
  process.on('disconnect', () => process.exit());
}
