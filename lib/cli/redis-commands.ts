/** A harmless call of each command that the store needs, which shows whether the user of Redis may call it. */

/** Who needs a command. */
type Need = 'always' | 'cluster' | 'replicas' | 'recommended';

export interface Trial {
  /** As in an ACL. */
  readonly command: string;
  readonly need: Need;
  /** Changes nothing, whatever is at the key, which nobody else uses. */
  readonly call: (key: string) => readonly string[];
}

const on =
  (...args: readonly string[]) =>
  (key: string): readonly string[] => [key, ...args];

function always(command: string, call: Trial['call']): Trial {
  return { command, need: 'always', call };
}

/** An id of a script that no server has. */
const NO_SCRIPT = '0'.repeat(40);

/**
 * Redis asks the ACL before it looks at the arguments any closer than at their number, and before it asks whether the key is on
 * this node. So a refusal always begins with NOPERM, and any other error says that the command may be called.
 *
 * `incr` makes a key, and `del` is called after it.
 */
export const TRIALS: readonly Trial[] = [
  always('eval', () => ['return 1', '0']),
  always('evalsha', () => [NO_SCRIPT, '0']),
  always('exists', on()),
  always('get', on()),
  always('getex', on()),
  always('hdel', on('f')),
  always('hget', on('f')),
  always('hgetall', on()),
  always('hlen', on()),
  always('hmget', on('f')),
  always('hscan', on('0')),
  always('hset', on('f', 'v', 'one too many')),
  always('incr', on()),
  always('del', on()),
  always('mget', on()),
  always('pexpire', on('1')),
  always('pexpireat', on('1')),
  always('pttl', on()),
  always('set', on('v', 'XX')),
  always('time', () => []),
  always('unlink', on()),
  always('xadd', on('NOMKSTREAM', '*', 'f', 'v')),
  always('xrange', on('-', '+')),
  always('xread', (key) => ['COUNT', '1', 'STREAMS', key, '0']),
  always('xrevrange', on('+', '-')),
  always('xtrim', on('MAXLEN', '0')),
  always('zadd', on('XX', '1', 'm')),
  always('zcard', on()),
  always('zcount', on('0', '0')),
  always('zrange', on('0', '0')),
  always('zrangebyscore', on('0', '0')),
  always('zrank', on('m')),
  always('zrem', on('m')),
  always('zrevrange', on('0', '0')),
  always('zscore', on('m')),
  { command: 'info', need: 'recommended', call: () => ['server'] },
  { command: 'wait', need: 'replicas', call: () => ['0', '1'] },
  { command: 'cluster|info', need: 'cluster', call: () => [] },
  { command: 'cluster|slots', need: 'cluster', call: () => [] },
];
