import { handlesBy } from '../../lib/core/handles.js';
import { createAccount, createLocations, type Account, type Locate } from '../../lib/http/account.js';
import { sessionUser } from '../../lib/core/session.js';
import { ISSUER, makeSite, tokenOf, type Site } from './site.js';

const ANN = sessionUser(ISSUER, 'ann');
const UNKNOWN = 'a'.repeat(22);

let site: Site;
let account: Account;

async function signIn(session: string): Promise<string> {
  site.clock.time += 1000;
  const { session: live } = await site.login.verify(tokenOf(session), { ip: '192.0.2.1', userAgent: 'curl/8.0' });
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
