/** A few short runs. `npm run histories` makes long ones. */

import { run } from './fleet.js';
import { canSetRedisClock } from './redis-clock.js';
import { excerpt, summary } from './report.js';
import { judgeHistory } from './rules.js';
import { scheduleOf } from './schedule.js';

test.each([202, 203])('seed %i', async (seed) => {
  const schedule = scheduleOf(seed, { processes: 3, duration: 8000, canSetRedisClock: canSetRedisClock() });
  const history = await run(schedule);
  const judgement = judgeHistory(history);
  process.stdout.write(`${summary(schedule, history, judgement)}\n`);
  const again = `npm run histories -- --seed ${seed} --seconds 8`;
  const found = judgement.violations.map(
    (violation) => `${violation.rule}: ${violation.what}\n${excerpt(history, violation)}`,
  );
  expect(found.length === 0 ? [] : [again, ...found]).toEqual([]);
  expect(history.entries.filter(({ kind }) => kind === 'request').length).toBeGreaterThan(200);
});

test('the same seed gives the same schedule', () => {
  const options = { processes: 3, duration: 10_000, canSetRedisClock: true };
  expect(scheduleOf(5, options)).toEqual(scheduleOf(5, options));
  expect(scheduleOf(5, options)).not.toEqual(scheduleOf(6, options));
});
