/** The table of sessions on its own. */

import { Entry } from '../../lib/ledger/entry.js';
import { SessionTable } from '../../lib/ledger/table.js';
import { POLICY, token } from './simulation.js';
import { START } from './virtual-time.js';

test('a session that had to make room is no longer held when that is told', () => {
  const held: boolean[] = [];
  const table: SessionTable = new SessionTable(
    1,
    () => POLICY,
    (entry) => {
      held.push(table.holds(entry));
      table.detach(entry);
    },
  );
  const attach = (of: ReturnType<typeof token>): Entry =>
    table.attach(of, undefined, (userSessions) => new Entry(of, userSessions, START, (entry) => entry));
  const ann = token('ann', 'a1');
  attach(ann);
  attach(token('bob', 'b1'));
  expect(held).toEqual([false]);
  expect([...table.ofUser(ann.user.key)]).toEqual([]);
});
