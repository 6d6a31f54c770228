/** The programs of docs/logs.md, as they stand there: requests that carry a token in every place, and what is written. */

import { headingsNotRun, runGuide, tokenFor, type RunningGuide } from '../support/guide.js';
import { eventually } from '../support/redis.js';

const DOC = 'docs/logs.md';
const FORMAT = '\':remote-addr ":method :path" :status ":page" ":user-agent"\'';

const PROGRAMS = {
  pino: { heading: 'pino' },
  morgan: { heading: 'morgan' },
  // What the guide warns of: without this, the test could not fail.
  combined: { heading: 'morgan', replace: [FORMAT, "'combined'"] },
} as const;

const token = tokenFor({ sid: 's1' });
const [, , signature = ''] = token.split('.');
const expired = tokenFor({ sid: 's2' }, -60);

let guide: RunningGuide;

beforeAll(async () => {
  guide = await runGuide(DOC, PROGRAMS, { LOG_LEVEL: 'debug' });
});

afterAll(() => guide.stop());

it('has no program that is not run', () => {
  expect(headingsNotRun(DOC, Object.values(PROGRAMS))).toEqual([]);
});

async function askWithTokens(name: keyof typeof PROGRAMS): Promise<number[]> {
  const me = `${guide.urls[name]}/me?page=2&token=${token}`;
  const referer = `https://shop.example.com/?token=${token}`;
  const headers: Record<string, string>[] = [
    { authorization: `Bearer ${token}` },
    { authorization: `Bearer ${expired}` },
    { cookie: `theme=dark; login_token=${token}` },
  ];
  const answers = await Promise.all(headers.map((each) => fetch(me, { headers: { ...each, referer } })));
  return answers.map(({ status }) => status);
}

const lines = (text: string): number => guide.output().split(text).length - 1;

it.each([
  ['pino', '"req":{"method":"GET","path":"/me"},"res":{"status":200},"user":"ada"'],
  ['morgan', '"GET /me" 200 "https://shop.example.com/"'],
] as const)('%s writes who did what, and no token', async (name, line) => {
  expect(await askWithTokens(name)).toEqual([200, 401, 200]);
  await eventually('it is written', () => Promise.resolve(lines(line) === 2));

  expect(guide.output()).not.toContain(signature);
  expect(guide.output()).not.toContain(expired.slice(-20));
});

it('pino writes headers that are logged by hand without those that have tokens', async () => {
  await askWithTokens('pino');
  await eventually('it is written', () => Promise.resolve(lines('"authorization":"[Redacted]"') >= 2));

  expect(guide.output()).toContain('"cookie":"[Redacted]"');
  expect(guide.output()).toContain('"referer":"[Redacted]"');
});

it('nothing of the hand-off is written', async () => {
  const handed = await fetch(`${guide.urls['pino']}/?token=${token}`, { redirect: 'manual' });
  expect([handed.status, handed.headers.get('location')]).toEqual([303, '/']);
  await fetch(`${guide.urls['pino']}/after`);
  await eventually('a later request is written', () => Promise.resolve(lines('"path":"/after"') === 1));

  expect(guide.output()).not.toContain(signature);
});

it('the usual format of morgan writes tokens', async () => {
  await askWithTokens('combined');

  await eventually('it is written', () => Promise.resolve(lines(signature) > 0));
});
