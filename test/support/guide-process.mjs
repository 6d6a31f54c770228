/** Runs blocks of a guide as modules of one process. The arguments are their files; the message is the port of each. */

import { subscribe } from 'node:diagnostics_channel';
import { pathToFileURL } from 'node:url';

// Any port that is free at that moment: one that was looked for before may be taken by then.
process.env.PORT = '0';
let told;
subscribe('tracing:net.server.listen:asyncEnd', ({ server }) => told(server.address().port));

const ports = [];
for (const file of process.argv.slice(2)) {
  const listening = new Promise((resolve) => (told = resolve));
  await import(pathToFileURL(file).href);
  ports.push(await listening);
}
process.on('disconnect', () => process.exit());
process.send(ports);
