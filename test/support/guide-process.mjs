/** Runs blocks of a guide as modules of one process, each on a port of its own: the first argument is [[file, port], ...]. */

import { pathToFileURL } from 'node:url';

for (const [file, port] of JSON.parse(process.argv[2])) {
  process.env.PORT = String(port);
  await import(pathToFileURL(file).href);
}
process.on('disconnect', () => process.exit());
process.send('ready');
