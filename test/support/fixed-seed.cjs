/** Property tests play the same cases in every run. `FC_SEED` gives them others: a whole number, or `random`. */

const fc = require('fast-check');

const { FC_SEED = '1' } = process.env;

if (FC_SEED !== 'random') {
  const seed = Number(FC_SEED);
  if (!Number.isSafeInteger(seed)) throw new Error(`FC_SEED must be a whole number or random, got ${FC_SEED}`);
  fc.configureGlobal({ seed });
}
