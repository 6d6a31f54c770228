/** Starts what takes longest before everything else, so that no core waits for it at the end. */

const { default: Sequencer } = require('@jest/test-sequencer');

/** They wait for servers and compilers: the size of the file, by which Jest would order them, does not tell. */
const LONGEST = [
  'ledger/cluster',
  'stores/redis/cluster',
  'stores/redis/feed',
  'ledger/model',
  'policy/storm',
  'package/package',
  'ledger/stays-signed-in',
  'browser/site',
  'cli/doctor',
  'readme',
  'ledger/faults',
  'histories/histories',
];

const rankOf = ({ path }) => {
  const rank = LONGEST.findIndex((name) => path.endsWith(`/test/${name}.test.ts`));
  return rank < 0 ? LONGEST.length : rank;
};

module.exports = class LongestFirst extends Sequencer {
  async sort(tests) {
    return [...(await super.sort(tests))].sort((one, other) => rankOf(one) - rankOf(other));
  }
};
