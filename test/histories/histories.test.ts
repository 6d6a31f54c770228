/** Short runs, in which every limit holds on a busy machine too. `npm run histories` makes long ones, with more faults. */

import { run } from './fleet.js';
import { excerpt, summary } from './report.js';
import { judgeHistory } from './rules.js';
import { scheduleOf } from './schedule.js';
import { scheduleByTheme, THEMES } from './themes.js';

test.each([
  ['endings', 1],
  ['missed', 1],
] as const)('theme %s, seed %i', async (theme, seed) => {
  const schedule = scheduleByTheme(theme, seed);
  const history = await run(schedule);
  const judgement = judgeHistory(history);
  process.stdout.write(`${summary(schedule, history, judgement)}\n`);
  const again = `npm run histories -- --theme ${theme} --seed ${seed}`;
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

test.each(THEMES)('the same seed gives the same schedule of theme %s', (theme) => {
  expect(scheduleByTheme(theme, 5)).toEqual(scheduleByTheme(theme, 5));
  expect(scheduleByTheme(theme, 5)).not.toEqual(scheduleByTheme(theme, 6));
});
