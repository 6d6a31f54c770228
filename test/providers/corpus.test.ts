/**
 * Each configuration of docs/providers.md, with tokens of the shapes that it is for, in two processes on one Redis: what
 * belongs together is one session, and what was ended stays ended.
 */

import { startOidcProvider, type OidcProvider } from '../support/provider.js';
import { ONE_TOKEN_SESSIONS, REAL_PROVIDER, SHAPES } from './shapes.js';
import { issuerOf, realIssuer, Sites, stepOf, type Issuer, type Login, type Outcome, type Site } from './sites.js';

const ACCOUNT = '/account/sessions';

let sites: Sites;
let provider: OidcProvider;
let site: Site;

beforeAll(async () => {
  [sites, provider] = await Promise.all([Sites.start(), startOidcProvider()]);
});
afterAll(async () => {
  await Promise.all([sites.stop(), provider.close()]);
});
afterEach(() => sites.close());

/** The value that all of them have. */
function common<T>(values: readonly T[]): T {
  expect(new Set(values).size).toBe(1);
  return values[0]!;
}

/** What comes of the next tokens of each sign-in, if the same comes of all. */
async function comesOf(logins: readonly Login[], times: number): Promise<string[]> {
  const outcomes = await site.visits(logins, times);
  return logins.map((login) => {
    expect(outcomes.get(login)).toHaveLength(2 * times);
    return common(outcomes.get(login)!.map(({ outcome }) => outcome));
  });
}

/** The same of requests that the store is asked for, each of which is on record before the next one. */
async function codesOf(login: Login, times: number): Promise<unknown[]> {
  const codes = new Set<unknown>();
  for (let time = 0; time < times; time += 1) {
    const token = await login.token();
    for (const process of [0, 1] as const) {
      const { status, body } = await site.request(process, 'GET', '/fresh', token);
      codes.add(status === 200 ? 'live' : body.code);
    }
    site.advance(site.step);
  }
  return [...codes];
}

async function listOf(login: Login, process: 0 | 1): Promise<unknown[]> {
  return (await site.request(process, 'GET', ACCOUNT, await login.token())).body.sessions;
}

/** A person with a session on each of two devices. */
interface Devices {
  readonly phone: Login;
  readonly laptop: Login;
  /** Of the phone's session. */
  readonly handle: string;
  readonly user: { readonly issuer: string; readonly subject: string };
}

/** Both processes know both sessions of each person. All are in use. */
async function twoDevicesOf(people: readonly string[]): Promise<Devices[]> {
  const phones: Login[] = [];
  for (const person of people) phones.push(await site.signIn(person));
  site.advance(1000);
  const laptops: Login[] = [];
  for (const person of people) laptops.push(await site.signIn(person));
  const outcomes = await site.visits([...phones, ...laptops], 4);
  const seen = (login: Login): Outcome & { handle: string } => {
    const all = outcomes.get(login)!;
    expect(common(all.map(({ outcome }) => outcome))).toBe('live');
    return { ...all[0]!, handle: common(all.map(({ handle }) => handle))! };
  };
  return phones.map((phone, person) => {
    const laptop = laptops[person]!;
    const { handle, user = '', issuer = '' } = seen(phone);
    expect(seen(laptop).handle).not.toBe(handle);
    return { phone, laptop, handle, user: { issuer, subject: user } };
  });
}

/** Each ends the session of the phone; whether the laptop's is left. */
const WAYS: Readonly<Record<string, readonly [isLaptopLeft: boolean, end: (devices: Devices) => Promise<unknown>]>> = {
  'logout()': [true, async ({ phone }) => site.request(0, 'POST', '/logout', await phone.token())],
  'DELETE /:handle': [
    true,
    async ({ laptop, handle }) => site.request(0, 'DELETE', `${ACCOUNT}/${handle}`, await laptop.token()),
  ],
  'DELETE /others': [true, async ({ laptop }) => site.request(0, 'DELETE', `${ACCOUNT}/others`, await laptop.token())],
  'revoke()': [true, async ({ user, handle }) => site.administer('revoke', user, handle, { by: 'operator' })],
  'revokeAll()': [false, async ({ user }) => site.administer('revokeAll', user, { by: 'operator' })],
  'the session cap': [true, signInOnThirdDevice],
};

async function signInOnThirdDevice({ phone, laptop }: Devices): Promise<void> {
  for (const login of [phone, laptop, await site.signIn('the session cap')]) {
    site.advance(1000);
    expect((await site.request(0, 'GET', '/fresh', await login.token())).status).toBe(200);
  }
}

/** `keysAt`: where its keys are published. */
function describeShape(name: string, issuer: () => Issuer, keysAt?: readonly string[]): void {
  describe(name, () => {
    test('one sign-in and 24 refreshes are one session, with its label', async () => {
      site = await sites.open(issuer());
      const login = await site.signIn('ann');
      const label = "Mum's iPad";
      const first = (await site.visits([login], 3)).get(login)!;
      const handle = common(first.map((seen) => seen.handle))!;
      const labelled = await site.request(0, 'PATCH', `${ACCOUNT}/${handle}`, await login.token(), { label });
      expect(labelled).toMatchObject({ status: 200, body: { handle, label } });
      const later = (await site.visits([login], 21)).get(login)!;
      expect(later.map((seen) => seen.handle)).toEqual(Array(42).fill(handle));
      for (const process of [0, 1] as const) {
        expect(await listOf(login, process)).toMatchObject([{ handle, label, current: true }]);
      }

      site.advance(1000);
      expect(await listOf(await site.signIn('ann'), 1)).toMatchObject([
        { label: null, current: true },
        { handle, label, current: false },
      ]);
      expect(site.told('sessionUnnamed')).toBe(0);
      if (keysAt !== undefined) expect(await site.keysAt()).toEqual(keysAt);
    });

    test('each way of ending a session holds for twenty more tokens, in both processes', async () => {
      site = await sites.open(issuer(), { maxSessionsPerUser: 2 });
      const people = await twoDevicesOf(Object.keys(WAYS));
      const [phones, laptops] = [people.map(({ phone }) => phone), people.map(({ laptop }) => laptop)];
      const ways = Object.values(WAYS);
      for (const [person, [, end]] of ways.entries()) await end(people[person]!);
      for (const { handle } of people) await site.heardEnded(handle);

      const byWay = (outcomes: readonly string[]): object =>
        Object.fromEntries(Object.keys(WAYS).map((way, person) => [way, outcomes[person]]));
      expect(byWay(await comesOf(phones, 20))).toEqual(byWay(phones.map(() => 'session_revoked')));
      const left = ways.map(([isLaptopLeft]) => (isLaptopLeft ? 'live' : 'session_revoked'));
      expect(byWay(await comesOf(laptops, 1))).toEqual(byWay(left));
      for (const [person, [isLaptopLeft]] of ways.entries()) {
        if (isLaptopLeft) expect(await listOf(laptops[person]!, 1)).toHaveLength(1);
      }
    });

    test('endEverywhere() holds for twenty more tokens, in both processes', async () => {
      site = await sites.open(issuer());
      const [devices] = await twoDevicesOf(['ann']);
      const { phone, laptop, handle } = devices!;
      await site.administer('endEverywhere', { by: 'operator' });
      await site.heardEnded(handle);
      expect(await comesOf([phone, laptop], 20)).toEqual(['session_revoked', 'session_revoked']);
    });

    test('refreshed tokens do not get round the lifetime', async () => {
      site = await sites.open(issuer(), { lifetime: 9.5 * stepOf(issuer()) });
      const login = await site.signIn('ann');
      expect(await comesOf([login], 10)).toEqual(['live']);
      expect(await comesOf([login], 10)).toEqual(['session_expired']);
    });

    test('refreshed tokens do not bring an idle session back', async () => {
      site = await sites.open(issuer(), { idleTimeout: 3.5 * stepOf(issuer()) });
      const login = await site.signIn('ann');
      expect(await codesOf(login, 5)).toEqual(['live']);
      site.advance(3 * site.step);
      expect(await codesOf(login, 5)).toEqual(['session_idle']);
    });
  });
}

for (const shape of SHAPES) {
  describeShape(shape.name, () => issuerOf(shape), 'at' in shape.keys ? [shape.keys.at] : []);
}
describeShape(REAL_PROVIDER, () => realIssuer(provider, REAL_PROVIDER));

test('revokeAll() ends a session of Firebase that was never seen here, because its tokens tell when it began', async () => {
  site = await sites.open(issuerOf(SHAPES.find(({ name }) => name === 'firebase')!));
  const phone = await site.signIn('ann');
  await phone.token();
  site.advance(1000);
  const [{ user }] = (await twoDevicesOf(['ann'])) as [Devices];
  await site.administer('revokeAll', user);
  site.advance(2 * site.step);
  expect(await comesOf([phone], 20)).toEqual(['session_revoked']);
  expect(await comesOf([await site.signIn('ann')], 20)).toEqual(['live']);
});

test('tokens that are meant to be a session each are that, and nothing is reported', async () => {
  site = await sites.open(issuerOf(ONE_TOKEN_SESSIONS));
  const script = await site.signIn('script');
  const tokens = [await script.token(), await script.token(), await script.token()];
  const statusOf = async (token: string): Promise<number> => (await site.request(1, 'GET', '/fresh', token)).status;
  const [ended, ...others] = tokens;
  for (const token of tokens) expect(await statusOf(token)).toBe(200);
  expect(await listOf(script, 0)).toHaveLength(4);
  expect((await site.request(0, 'POST', '/logout', ended!)).status).toBe(204);
  expect(await statusOf(ended!)).toBe(401);
  for (const token of others) expect(await statusOf(token)).toBe(200);
  expect(site.told('sessionUnnamed')).toBe(0);
});
