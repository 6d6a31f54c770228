import { handlesBy } from '../../lib/core/handles.js';
import { createAccount, createLocations, type Account, type Locate } from '../../lib/http/account.js';
import { sessionUser } from '../../lib/core/session.js';
import { ISSUER, makeSite, tokenOf, type Site } from './site.js';

const ANN = sessionUser(ISSUER, 'ann');
const UNKNOWN = 'a'.repeat(22);

let site: Site;
let account: Account;

async function signIn(session: string, userAgent = 'curl/8.0', claims = {}): Promise<string> {
  site.clock.time += 1000;
  const { session: live } = await site.login.verify(tokenOf(session, claims), { ip: '192.0.2.1', userAgent });
  return live.handle;
}

beforeEach(() => {
  site = makeSite();
  account = site.account;
});

afterEach(() => site.close());

test('shows sessions to whoever is no session: none is current, no place is known', async () => {
  const handle = await signIn('s1');
  const { sessions, next } = await account.list(ANN);
  expect(next).toBeNull();
  expect(sessions).toHaveLength(1);
  expect(sessions[0]).toMatchObject({ handle, current: false, location: null, client: { name: 'curl' } });
  expect(await account.get(ANN, handle)).toEqual(sessions[0]);
  expect(await account.list(sessionUser(ISSUER, 'bob'))).toEqual({ sessions: [], next: null });
});

test('pages by the cursor it gives out', async () => {
  const handles = [await signIn('s1'), await signIn('s2'), await signIn('s3')].reverse();
  const first = await account.list(ANN, { limit: 2 });
  const second = await account.list(ANN, { limit: 2, cursor: first.next });
  expect([...first.sessions, ...second.sessions].map(({ handle }) => handle)).toEqual(handles);
  expect(second.next).toBeNull();
});

describe('for the page', () => {
  const CHROME =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36';
  const PHONE =
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1';

  test('each page has the number of all and the session of the caller, which has its place on one of them', async () => {
    const current = await signIn('s1');
    for (const session of ['s2', 's3', 's4']) await signIn(session);
    const first = await account.listForPage(ANN, { limit: 2 }, { current });
    const second = await account.listForPage(ANN, { limit: 2, cursor: first.next }, { current });
    expect([first.total, second.total, first.sessions.length, second.next]).toEqual([4, 4, 2, null]);
    for (const page of [first, second]) expect(page.current).toMatchObject({ handle: current, current: true });
    expect(first.sessions.map((session) => session.current)).toEqual([false, false]);
    expect(second.sessions.at(-1)).toEqual(second.current);
  });

  test('the session of the caller has its place too, and is asked for only if it is not on the page', async () => {
    const locate = jest.fn(async () => new Map([['192.0.2.1', 'Paris']]));
    const get = jest.spyOn(site.ledger, 'get');
    const [one, two] = [await signIn('s1'), await signIn('s2')];
    expect((await account.listForPage(ANN, {}, { current: one, locate })).current).toMatchObject({ location: 'Paris' });
    expect(get).not.toHaveBeenCalled();
    const page = await account.listForPage(ANN, { limit: 1 }, { current: one, locate });
    expect([page.current?.handle, page.current?.location, page.sessions[0]?.handle]).toEqual([one, 'Paris', two]);
    expect(get).toHaveBeenCalledTimes(1);
    expect(locate).toHaveBeenCalledTimes(2);
  });

  test('a caller without a session on record has none', async () => {
    await signIn('s1');
    for (const viewer of [{}, { current: UNKNOWN }]) {
      expect(await account.listForPage(ANN, {}, viewer)).toMatchObject({ current: null, total: 1 });
    }
    const bob = sessionUser(ISSUER, 'bob');
    expect(await account.listForPage(bob, {}, {})).toEqual({ current: null, sessions: [], next: null, total: 0 });
  });

  test('a session is new for a day if no session of the user had its client before', async () => {
    const seen = async (): Promise<unknown[]> => {
      const { sessions } = await account.listForPage(ANN, {}, {});
      return sessions.map(({ client, isNew }) => [client.name, isNew]);
    };
    const beganAt = site.clock.time;
    const long = { exp: beganAt / 1000 + 7 * 86_400 };
    await signIn('s1', CHROME, long);
    await signIn('s2', CHROME.replace('131', '132'), long);
    await signIn('s3', PHONE, long);
    expect(await seen()).toEqual([
      ['Safari', true],
      ['Chrome', false],
      ['Chrome', true],
    ]);
    site.clock.time = beganAt + 86_400_000 - 1;
    expect(await seen()).toEqual([
      ['Safari', true],
      ['Chrome', false],
      ['Chrome', true],
    ]);
    site.clock.time += 1;
    expect(await seen()).toEqual([
      ['Safari', false],
      ['Chrome', false],
      ['Chrome', false],
    ]);
  });

  test('a session that began long ago is not new, whatever it is used with', async () => {
    await signIn('s1', CHROME, { iat: site.clock.time / 1000 - 2 * 86_400 });
    expect((await account.listForPage(ANN, {}, {})).sessions).toMatchObject([{ isNew: false }]);
  });

  test('the routes and list() say nothing of it', async () => {
    const current = await signIn('s1');
    const { sessions } = await account.list(ANN, {}, { current });
    expect(sessions[0]).not.toHaveProperty('isNew');
    expect(Object.keys(await account.list(ANN))).toEqual(['sessions', 'next']);
    expect(await account.get(ANN, current, { current })).toEqual(sessions[0]);
  });
});

test('names a session', async () => {
  const handle = await signIn('s1');
  expect(await account.label(ANN, handle, ' kitchen ')).toMatchObject({ label: 'kitchen' });
  expect(await account.label(ANN, handle, null)).toMatchObject({ label: null });
  await expect(account.label(ANN, handle, undefined)).rejects.toMatchObject({ code: 'request_invalid' });
});

test('ends one, and all but one', async () => {
  const [one, two, three] = [await signIn('s1'), await signIn('s2'), await signIn('s3')];
  await expect(account.revoke(ANN, one, { reason: 'password_changed', by: 'admin' })).resolves.toBeUndefined();
  await expect(account.revoke(ANN, one)).resolves.toBeUndefined();
  await expect(account.get(ANN, one)).rejects.toMatchObject({ code: 'session_not_found' });
  expect(await account.revokeAll(ANN, { except: three })).toEqual({ ended: 1 });
  await expect(account.get(ANN, two)).rejects.toMatchObject({ code: 'session_not_found' });
  expect(await account.revokeAll(ANN)).toEqual({ ended: 1 });
});

test.each([[UNKNOWN], ['short'], [''], [undefined], [null], [7], [{}]])(
  'the handle %p is not found',
  async (handle) => {
    const given = handle as string;
    const notFound = { code: 'session_not_found' };
    await expect(account.get(ANN, given)).rejects.toMatchObject(notFound);
    await expect(account.label(ANN, given, 'x')).rejects.toMatchObject(notFound);
    await expect(account.revoke(ANN, given)).rejects.toMatchObject(notFound);
  },
);

test('a session that is excepted must at least be a handle', async () => {
  await expect(account.revokeAll(ANN, { except: 'short' })).rejects.toMatchObject({ code: 'session_not_found' });
});

test('keeps what was given as reason and by within bounds', async () => {
  const asked: unknown[] = [];
  const ledger = { revokeAll: async (_user: unknown, request: unknown) => (asked.push(request), { ended: 0 }) };
  await createAccount(ledger as never, handlesBy(null), Date).revokeAll(ANN, {
    reason: `a\nb${'x'.repeat(300)}`,
    by: '\ud800',
  });
  expect(asked).toEqual([{ except: null, reason: `a b${'x'.repeat(197)}`, by: '\ufffd' }]);
});

describe('places', () => {
  test('of equal addresses are asked for once, of several at the same time', async () => {
    const waiting = new Map<string, (place: string) => void>();
    const placesOf = createLocations((ip) => new Promise((resolve) => waiting.set(ip, resolve)));
    const places = placesOf(['192.0.2.1', null, '192.0.2.2', '192.0.2.1']);
    expect([...waiting.keys()]).toEqual(['192.0.2.1', '192.0.2.2']);
    for (const [ip, resolve] of waiting) resolve(`at ${ip}`);
    expect(Object.fromEntries(await places)).toEqual({ '192.0.2.1': 'at 192.0.2.1', '192.0.2.2': 'at 192.0.2.2' });
  });

  test.each<[string, Locate]>([
    ['is slow', () => new Promise(() => undefined)],
    [
      'throws',
      () => {
        throw new URIError('no');
      },
    ],
    [
      'rejects late',
      async () => {
        throw new Error('no');
      },
    ],
    ['gives an object', (() => ({})) as never],
  ])('of a hook that %s are none', async (_what, locate) => {
    expect((await createLocations(locate, 5)(['192.0.2.1'])).size).toBe(0);
  });

  test('are one line of well-formed text', async () => {
    const places = await createLocations(() => `a\nb\ud800${'x'.repeat(500)}`)(['192.0.2.1']);
    expect(places.get('192.0.2.1')).toMatch(/^a b\ufffdx{100,200}$/);
  });
});
