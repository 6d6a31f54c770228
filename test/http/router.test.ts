import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import express from 'express';
import supertest from 'supertest';
import { LoginError } from '../../lib/core/errors.js';
import { sessionUser } from '../../lib/core/session.js';
import type { RouterOptions } from '../../lib/http/router.js';
import { describeEachFramework, type TestApp } from '../support/frameworks.js';
import { bearer, cookie, ISSUER, makeSite, sameOrigin, START, tokenOf, type Site, type SiteOptions } from './site.js';

const BASE = '/account/sessions';
const HTML = 'text/html,*/*;q=0.8';
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
const ANN = sessionUser(ISSUER, 'ann');
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Two devices of one user, and one of another. */
const phone = tokenOf('phone');
const laptop = tokenOf('laptop');
const bobs = tokenOf('bobs', { sub: 'bob' });

let site: Site;

afterEach(() => site.close());

describeEachFramework((_name, makeApp) => {
  type Agent = ReturnType<typeof supertest>;

  function mounted(options: SiteOptions = {}, before: readonly Parameters<TestApp['mount']>[1][] = []): Agent {
    site = makeSite(options);
    const app = makeApp();
    for (const handler of before) app.mount('/', handler);
    app.mount(BASE, site.router(options.router));
    app.mount('/orders', site.login.required(), (_req, res) => res.end('orders'));
    return supertest(app.listener);
  }

  /** Signs a token in, a second after the last one, and gives its handle. */
  async function signIn(agent: Agent, token: string, userAgent = FIREFOX): Promise<string> {
    site.clock.time += 1000;
    const { body } = await agent.get(`${BASE}/current`).set(bearer(token)).set('User-Agent', userAgent).expect(200);
    return body.handle;
  }

  async function isSignedIn(agent: Agent, token: string): Promise<boolean> {
    const { status } = await agent.get('/orders').set(bearer(token));
    return status === 200;
  }

  describe('GET', () => {
    test('lists the live sessions, most recently seen first', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone, 'MyApp for iOS/v1.0.0');
      await signIn(agent, laptop);
      await signIn(agent, bobs);
      site.clock.time += 1000;
      const { body, headers } = await agent.get(BASE).set(bearer(laptop)).set('User-Agent', FIREFOX).expect(200);
      expect(headers['content-type']).toBe('application/json; charset=utf-8');
      expect(headers['cache-control']).toBe('no-store');
      expect(body.next).toBeNull();
      expect(body.sessions).toHaveLength(2);
      expect(body.sessions[0]).toEqual({
        handle: expect.stringMatching(/^[\w-]{22}$/),
        current: true,
        label: null,
        startedAt: new Date(START).toISOString(),
        lastSeenAt: new Date(site.clock.time).toISOString(),
        expiresAt: new Date(START + 3_600_000).toISOString(),
        ip: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/),
        location: null,
        app: null,
        actor: null,
        client: {
          kind: 'desktop',
          name: 'Firefox',
          version: '131',
          os: 'Windows',
          device: null,
          userAgent: FIREFOX,
        },
      });
      expect(body.sessions[1]).toMatchObject({ handle, current: false, client: { kind: 'app', name: 'MyApp' } });
      expect(JSON.stringify(body)).not.toContain(laptop.split('.')[2]);
    });

    test('pages by cursor', async () => {
      const agent = mounted();
      const handles: string[] = [];
      for (const session of ['a', 'b', 'c', 'd', 'e']) handles.unshift(await signIn(agent, tokenOf(session)));
      const seen: string[] = [];
      let query = '?limit=2';
      for (const size of [2, 2, 1]) {
        const { body } = await agent
          .get(`${BASE}${query}`)
          .set(bearer(tokenOf('e')))
          .expect(200);
        expect(body.sessions).toHaveLength(size);
        seen.push(...body.sessions.map(({ handle }: { handle: string }) => handle));
        query = `?limit=2&cursor=${body.next}`;
      }
      expect(query).toContain('cursor=null');
      expect(seen).toEqual(handles);
    });

    test('clamps the limit', async () => {
      const agent = mounted();
      for (const session of ['a', 'b', 'c']) await signIn(agent, tokenOf(session));
      const lengths: Readonly<Record<string, number>> = {
        '0': 1,
        '-7': 1,
        '1.9': 1,
        '2': 2,
        '1e9': 3,
        Infinity: 3,
        '-Infinity': 1,
        NaN: 3,
        '': 3,
        abc: 3,
        '%00': 3,
        ['9'.repeat(400)]: 3,
      };
      for (const [limit, length] of Object.entries(lengths)) {
        const { body } = await agent
          .get(`${BASE}?limit=${limit}`)
          .set(bearer(tokenOf('c')))
          .expect(200);
        expect([limit, body.sessions.length]).toEqual([limit, length]);
      }
    });

    test.each([
      ['', 'empty'],
      ['x', 'too short'],
      ['!!!!', 'no base64url'],
      ['W10', '[]'],
      ['bnVsbA', 'null'],
      [Buffer.from('{"length":2,"0":1,"1":"a"}').toString('base64url'), 'an object'],
      [Buffer.from('[1,"short"]').toString('base64url'), 'a handle that is none'],
      [Buffer.from(`["1","${'a'.repeat(22)}"]`).toString('base64url'), 'a moment that is a text'],
      [Buffer.from(`[1e400,"${'a'.repeat(22)}"]`).toString('base64url'), 'a moment that is no number'],
      [Buffer.from(`[1e300,"${'a'.repeat(22)}"]`).toString('base64url'), 'a moment that no clock reaches'],
      [Buffer.from(`[-8640000000000001,"${'a'.repeat(22)}"]`).toString('base64url'), 'a moment before all others'],
      ['A'.repeat(5000), 'long'],
      ['%E0%A4%A', 'an escape that is none'],
    ])('refuses the cursor %.12s (%s)', async (cursor) => {
      const { body } = await mounted().get(`${BASE}?cursor=${cursor}`).set(bearer(phone)).expect(400);
      expect(body.code).toBe('request_invalid');
    });

    test('shows one session, and the current one', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      await signIn(agent, laptop);
      const { body, headers } = await agent.get(`${BASE}/${handle}`).set(bearer(laptop)).expect(200);
      expect(body).toMatchObject({ handle, current: false });
      expect(headers['cache-control']).toBe('no-store');
      expect(body.lastSeenAt).toMatch(ISO);
      const current = await agent.get(`${BASE}/current/`).set(bearer(phone)).expect(200);
      expect(current.body).toMatchObject({ handle, current: true });
      await agent.head(`${BASE}/current`).set(bearer(phone)).expect(200);
    });

    test('gives the same 404 for what is unknown, of another user, ended, or no handle', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      const theirs = await signIn(agent, bobs);
      await signIn(agent, laptop);
      await agent.delete(`${BASE}/${handle}`).set(bearer(laptop)).expect(204);
      const answers: unknown[] = [];
      const paths = [
        handle,
        theirs,
        'a'.repeat(22),
        'a'.repeat(23),
        'short',
        '__proto__',
        'constructor',
        '%2e%2e',
        '%00',
        '%E0%A4%A',
        '%zz',
        'a%2Fb',
      ];
      for (const path of paths) {
        for (const method of ['get', 'delete', 'patch'] as const) {
          const sent = agent[method](`${BASE}/${path}`).set(bearer(laptop));
          const { status, text, headers } = await (method === 'patch' ? sent.send({ label: 'x' }) : sent);
          // A session that was ended before may be ended again.
          if (method === 'delete' && path === handle) expect(status).toBe(204);
          else answers.push([status, text, headers['cache-control'], headers['content-type']]);
        }
      }
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
      expect(answers[0]).toEqual([
        404,
        expect.stringContaining('session_not_found'),
        'no-store',
        'application/problem+json; charset=utf-8',
      ]);
      expect(await isSignedIn(agent, bobs)).toBe(true);
    });

    test.each(['', '/current', `/${'a'.repeat(22)}`, '/%E0%A4%A'])('requires a login by itself: %s', async (path) => {
      const { body } = await mounted()
        .get(BASE + path)
        .expect(401);
      expect(body.code).toBe('no_token');
    });

    test('an ended session can do nothing here', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      await signIn(agent, laptop);
      await site.account.revoke(ANN, handle);
      for (const [method, path] of [
        ['get', ''],
        ['delete', '/others'],
        ['delete', ''],
      ] as const) {
        const { body } = await agent[method](BASE + path)
          .set(bearer(phone))
          .expect(401);
        expect(body.code).toBe('session_revoked');
      }
      expect(await isSignedIn(agent, laptop)).toBe(true);
    });

    test('places come from the hook, asked once per address', async () => {
      const asked: string[] = [];
      const locate = (ip: string): string => {
        asked.push(ip);
        return 'Springfield';
      };
      const agent = mounted({ router: { locate } });
      await signIn(agent, phone);
      await signIn(agent, laptop);
      asked.length = 0;
      const { body } = await agent.get(BASE).set(bearer(phone)).expect(200);
      expect(body.sessions.map(({ location }: { location: string }) => location)).toEqual([
        'Springfield',
        'Springfield',
      ]);
      expect(asked).toHaveLength(1);
    });

    test.each<[string, NonNullable<RouterOptions['locate']>]>([
      [
        'throws',
        () => {
          throw new Error('no place');
        },
      ],
      [
        'rejects',
        async () => {
          throw new Error('no place');
        },
      ],
      ['gives undefined', () => undefined],
      ['gives a number', (() => 7) as never],
      ['gives an empty text', () => ''],
    ])('a hook that %s leaves null', async (_what, locate) => {
      const { body } = await mounted({ router: { locate } }).get(BASE).set(bearer(phone)).expect(200);
      expect(body.sessions[0].location).toBeNull();
    });
  });

  describe('PATCH', () => {
    test.each([
      ["Mum's iPad", "Mum's iPad"],
      ['  kitchen ', 'kitchen'],
      [null, null],
      ['', null],
      [' \t', null],
      ['<script>alert(1)</script>', '<script>alert(1)</script>'],
      ['😀'.repeat(64), '😀'.repeat(64)],
      ['__proto__', '__proto__'],
    ])('names a session %j', async (label, kept) => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      const { body } = await agent.patch(`${BASE}/${handle}`).set(bearer(phone)).send({ label }).expect(200);
      expect(body).toMatchObject({ handle, label: kept, current: true });
      const shown = await agent.get(`${BASE}/current`).set(bearer(phone)).expect(200);
      expect(shown.body.label).toBe(kept);
    });

    const json = (text: string, type = 'application/json'): readonly [string, string] => [type, text];

    test.each<[string, readonly [string, string]]>([
      ['no body', json('')],
      ['malformed', json('{"label":')],
      ['a text', json('"x"')],
      ['null', json('null')],
      ['a list', json('["label"]')],
      ['an empty object', json('{}')],
      ['an inherited member', json('{"__proto__":{"label":"x"}}')],
      ['a number', json('{"label":7}')],
      ['true', json('{"label":true}')],
      ['an object', json('{"label":{}}')],
      ['a list as label', json('{"label":["x"]}')],
      ['65 characters', json(JSON.stringify({ label: 'x'.repeat(65) }))],
      ['65 emoji', json(JSON.stringify({ label: '😀'.repeat(65) }))],
      ['3000 characters', json(JSON.stringify({ label: 'x'.repeat(3000) }))],
      ['a lone surrogate', json('{"label":"\\ud800"}')],
      ['a control character', json('{"label":"a\\u0000b"}')],
      ['a line break', json('{"label":"a\\nb"}')],
      ['a line separator', json('{"label":"a\\u2028b"}')],
      ['no content type', json('{"label":"x"}', '')],
      ['a form', json('label=x', 'application/x-www-form-urlencoded')],
      ['text', json('{"label":"x"}', 'text/plain')],
      ['a type that begins like it', json('{"label":"x"}', 'application/jsonp')],
      ['more than 4 KiB', json(JSON.stringify({ label: 'x', more: 'y'.repeat(5000) }))],
      ['a megabyte', json(JSON.stringify({ label: 'y'.repeat(1_000_000) }))],
    ])('refuses %s', async (_what, [type, body]) => {
      const agent = mounted();
      await signIn(agent, phone);
      const { status, body: problem } = await raw(
        agent,
        'PATCH',
        `${BASE}/current`,
        { ...bearer(phone), 'Content-Type': type },
        body,
      );
      expect([status, problem.code]).toEqual([400, 'request_invalid']);
      expect((await agent.get(`${BASE}/current`).set(bearer(phone)).expect(200)).body.label).toBeNull();
    });

    test('refuses bytes that are no UTF-8, and what is compressed', async () => {
      const agent = mounted();
      const headers = { ...bearer(phone), 'Content-Type': 'application/json' };
      const broken = Buffer.concat([Buffer.from('{"label":"'), Buffer.from([0xff]), Buffer.from('"}')]);
      expect((await raw(agent, 'PATCH', `${BASE}/current`, headers, broken)).status).toBe(400);
      const packed = { ...headers, 'Content-Encoding': 'gzip' };
      expect((await raw(agent, 'PATCH', `${BASE}/current`, packed, '{"label":"x"}')).status).toBe(400);
    });

    test('takes what express.json() and express.urlencoded() have read', async () => {
      const agent = mounted({}, [express.json() as never, express.urlencoded({ extended: true }) as never]);
      await agent.patch(`${BASE}/current`).set(bearer(phone)).send({ label: 'x' }).expect(200);
      await agent
        .patch(`${BASE}/current`)
        .set(bearer(phone))
        .send({ label: { a: 1 } })
        .expect(400);
      await agent.post(`${BASE}/current/label`).type('form').set(bearer(phone)).send('label=y').expect(303);
      expect((await agent.get(`${BASE}/current`).set(bearer(phone))).body.label).toBe('y');
      await agent.post(`${BASE}/current/label`).type('form').set(bearer(phone)).send('label[a]=y').expect(400);
    });

    test('a form behind express.json() alone is read here', async () => {
      const agent = mounted({}, [express.json() as never]);
      await agent.post(`${BASE}/current/label`).type('form').set(bearer(phone)).send('label=y').expect(303);
      expect((await agent.get(`${BASE}/current`).set(bearer(phone))).body.label).toBe('y');
    });
  });

  describe('DELETE', () => {
    test('ends another session, and again while it is remembered', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      await signIn(agent, laptop);
      for (const _again of [1, 2]) {
        const { headers, text } = await agent.delete(`${BASE}/${handle}`).set(bearer(laptop)).expect(204);
        expect([text, headers['set-cookie'], headers['cache-control']]).toEqual(['', undefined, 'no-store']);
      }
      const { body } = await agent.get('/orders').set(bearer(phone)).expect(401);
      expect(body).toMatchObject({ code: 'session_revoked', reason: 'signed_out' });
      expect(await isSignedIn(agent, laptop)).toBe(true);
      expect(await isSignedIn(agent, tokenOf('phone again'))).toBe(true);
    });

    test('ends the current session and clears its cookie', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      for (const path of [handle, 'current']) {
        const token = path === handle ? phone : laptop;
        const { headers } = await agent
          .delete(`${BASE}/${path}`)
          .set({ ...cookie(token), ...sameOrigin })
          .expect(204);
        expect(headers['set-cookie']?.[0]).toMatch(/^login_token=; Max-Age=0; Path=\//);
        expect(await isSignedIn(agent, token)).toBe(false);
      }
    });

    test('ends all others', async () => {
      const agent = mounted();
      await signIn(agent, phone);
      await signIn(agent, laptop);
      await signIn(agent, bobs);
      const { body, headers } = await agent.delete(`${BASE}/others`).set(bearer(laptop)).expect(200);
      expect([body, headers['set-cookie']]).toEqual([{ ended: 1 }, undefined]);
      expect(await Promise.all([phone, laptop, bobs].map((token) => isSignedIn(agent, token)))).toEqual([
        false,
        true,
        true,
      ]);
    });

    test('ends all, and clears the cookie', async () => {
      const agent = mounted();
      await signIn(agent, phone);
      await signIn(agent, laptop);
      const { body, headers } = await agent
        .delete(BASE)
        .set({ ...cookie(laptop), ...sameOrigin })
        .expect(200);
      expect(body).toEqual({ ended: 2 });
      expect(headers['set-cookie']).toHaveLength(2);
      expect(await Promise.all([phone, laptop].map((token) => isSignedIn(agent, token)))).toEqual([false, false]);
    });

    test('clears nothing where the store did not acknowledge', async () => {
      const down = new LoginError('store_unavailable', 'away');
      const agent = mounted();
      await signIn(agent, phone);
      jest.spyOn(site.ledger, 'revoke').mockRejectedValue(down);
      jest.spyOn(site.ledger, 'revokeAll').mockRejectedValue(down);
      for (const path of ['', '/current']) {
        const { headers, body } = await agent
          .delete(BASE + path)
          .set(bearer(phone))
          .expect(503);
        expect([body.code, headers['retry-after'], headers['set-cookie']]).toEqual([
          'store_unavailable',
          '1',
          undefined,
        ]);
      }
    });
  });

  describe('forms', () => {
    const ours = { ...cookie(laptop), ...sameOrigin };

    test('end a session and go back to the page', async () => {
      const agent = mounted();
      const handle = await signIn(agent, phone);
      const { headers } = await agent.post(`${BASE}/${handle}/end`).type('form').set(ours).expect(303);
      expect(headers['location']).toBe('/account/sessions?done=ended');
      expect(await isSignedIn(agent, phone)).toBe(false);
    });

    test('end others, and rename', async () => {
      const agent = mounted();
      await signIn(agent, phone);
      const others = await agent.post(`${BASE}/others/end/`).type('form').set(ours).expect(303);
      expect(others.headers['location']).toBe('/account/sessions?done=others');
      expect(await isSignedIn(agent, phone)).toBe(false);
      const label = await agent
        .post(`${BASE}/current/label`)
        .type('form')
        .set(ours)
        .send('label=B%C3%BCro')
        .expect(303);
      expect(label.headers['location']).toBe('/account/sessions?done=renamed');
      expect((await agent.get(`${BASE}/current`).set(ours)).body.label).toBe('Büro');
      await agent.post(`${BASE}/current/label`).type('form').set(ours).send('label=').expect(303);
      expect((await agent.get(`${BASE}/current`).set(ours)).body.label).toBeNull();
    });

    test.each(['/current/end', '/end'])('%s sends the caller, signed out, to the login', async (path) => {
      const agent = mounted({ loginUrl: '/login' });
      const { headers } = await agent
        .post(BASE + path)
        .type('form')
        .set(ours)
        .expect(303);
      expect([headers['location'], headers['set-cookie']?.length]).toEqual(['/login', 2]);
      expect(await isSignedIn(agent, laptop)).toBe(false);
      const elsewhere = await mounted()
        .post(BASE + path)
        .type('form')
        .set(ours)
        .expect(303);
      expect(elsewhere.headers['location']).toBe('/');
    });

    describe('/selected/end', () => {
      const END = `${BASE}/selected/end`;
      const fields = (...handles: readonly string[]): string => handles.map((handle) => `handle=${handle}`).join('&');
      const tablet = tokenOf('tablet');

      test('ends those that are named, and goes back to the page', async () => {
        const agent = mounted();
        const handles = [await signIn(agent, phone), await signIn(agent, tokenOf('watch'))];
        await signIn(agent, tablet);
        const { headers } = await agent
          .post(END)
          .set(ours)
          .send(fields(...handles, ...handles))
          .expect(303);
        expect([headers['location'], headers['set-cookie']]).toEqual(['/account/sessions?done=selected', undefined]);
        const live = [phone, tokenOf('watch'), tablet, laptop].map((token) => isSignedIn(agent, token));
        expect(await Promise.all(live)).toEqual([false, false, true, true]);
        // Sent again: all of them have ended.
        const again = await agent
          .post(END)
          .set(ours)
          .send(fields(...handles))
          .expect(303);
        expect(again.headers['location']).toBe('/account/sessions?done=selected');
      });

      test('with the own session among them, people go to the login, and the cookie is cleared', async () => {
        const agent = mounted({ loginUrl: '/login' });
        const handles = [await signIn(agent, laptop), await signIn(agent, phone)];
        const { headers } = await agent
          .post(END)
          .set(ours)
          .send(fields(...handles))
          .expect(303);
        expect([headers['location'], headers['set-cookie']?.length]).toEqual(['/login', 2]);
        expect(await Promise.all([phone, laptop].map((token) => isSignedIn(agent, token)))).toEqual([false, false]);
      });

      test('ends nothing of another user, and does not tell whether there was anything', async () => {
        const agent = mounted();
        const handles = [await signIn(agent, bobs), 'a'.repeat(21) + 'A'];
        for (const handle of handles) {
          const { headers } = await agent.post(END).set(ours).send(fields(handle)).expect(303);
          expect(headers['location']).toBe('/account/sessions?done=selected');
        }
        expect(await isSignedIn(agent, bobs)).toBe(true);
      });

      test('if the store fails in between, the own session stays, and the form can be sent again', async () => {
        const agent = mounted();
        const handles = [await signIn(agent, laptop), await signIn(agent, phone), await signIn(agent, tablet)];
        const spy = jest
          .spyOn(site.ledger, 'revoke')
          .mockRejectedValueOnce(new LoginError('store_unavailable', 'away'));
        const { body, headers } = await agent
          .post(END)
          .set(ours)
          .send(fields(...handles))
          .expect(503);
        expect([body.code, headers['set-cookie']]).toEqual(['store_unavailable', undefined]);
        expect(await isSignedIn(agent, laptop)).toBe(true);
        spy.mockRestore();
        await agent
          .post(END)
          .set(ours)
          .send(fields(...handles))
          .expect(303);
        expect(await Promise.all([phone, tablet, laptop].map((token) => isSignedIn(agent, token)))).not.toContain(true);
      });

      const many = (count: number): string[] =>
        Array.from({ length: count }, (_, index) => `${'a'.repeat(18)}${String(1000 + index)}`);

      test.each<[string, string, number]>([
        ['200 sessions', fields(...many(200)), 303],
        ['201 sessions', fields(...many(201)), 400],
        ['one session 201 times', fields(...Array.from({ length: 201 }, () => 'a'.repeat(22))), 400],
        ['nothing', '', 400],
        ['no handle', 'label=x', 400],
        ['an empty handle', 'handle=', 400],
        ['an empty handle among others', `${fields(...many(2))}&handle=`, 400],
        ['something that is no handle', `handle=current&${fields(...many(1))}`, 400],
        ['a path', 'handle=../../others', 400],
        ['the name of a built-in', 'handle=__proto__', 400],
        ['another spelling of the field', 'handle[]=x', 400],
        ['more than it reads', `${fields(...many(1))}&more=${'y'.repeat(9000)}`, 400],
      ])('of %s', async (_what, body, status) => {
        const agent = mounted();
        const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
        const answer = await raw(agent, 'POST', END, { ...ours, ...type }, body);
        expect(answer.status).toBe(status);
        if (status === 400) expect(answer.body.code).toBe('request_invalid');
      });

      test('also if the application parses forms, in either way', async () => {
        for (const extended of [false, true]) {
          const agent = mounted({}, [express.urlencoded({ extended, parameterLimit: 1000 })]);
          const handles = [await signIn(agent, phone), ...many(150)];
          await agent
            .post(END)
            .set(ours)
            .send(fields(...handles))
            .expect(303);
          expect(await isSignedIn(agent, phone)).toBe(false);
          await agent.post(END).set(ours).send('handle[a][b]=x').expect(400);
          await site.close();
        }
      });
    });

    test.each<[string, string]>([
      ['label', 'multipart/form-data; boundary=x'],
      ['{"label":"x"}', 'application/json'],
      [`label=${'x'.repeat(65)}`, 'application/x-www-form-urlencoded'],
      [`label=x&more=${'y'.repeat(5000)}`, 'application/x-www-form-urlencoded'],
      ['other=x', 'application/x-www-form-urlencoded'],
      ['', 'application/x-www-form-urlencoded'],
    ])('a label form of %.20s as %s is refused', async (body, type) => {
      const agent = mounted();
      const answer = await raw(agent, 'POST', `${BASE}/current/label`, { ...ours, 'Content-Type': type }, body);
      expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid']);
    });
  });

  describe('CSRF', () => {
    const host = 'shop.example';
    const from = (headers: Record<string, string>): Record<string, string> => ({
      ...cookie(laptop),
      Host: host,
      ...headers,
    });

    test.each<[string, Record<string, string>, boolean]>([
      ['same-origin', from({ 'Sec-Fetch-Site': 'same-origin' }), true],
      ['same-site', from({ 'Sec-Fetch-Site': 'same-site' }), false],
      ['cross-site', from({ 'Sec-Fetch-Site': 'cross-site' }), false],
      ['none', from({ 'Sec-Fetch-Site': 'none' }), true],
      ['this origin', from({ Origin: `https://${host}` }), true],
      ['another port', from({ Origin: `https://${host}:8443` }), false],
      ['another origin', from({ Origin: 'https://evil.example' }), false],
      ['null', from({ Origin: 'null' }), false],
      ['nothing at all', from({}), true],
      [
        'bearer from anywhere',
        { ...bearer(laptop), 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' },
        true,
      ],
    ])('%s', async (_what, headers, passes) => {
      const agent = mounted();
      const changes = [
        ['patch', '/current', 200],
        ['post', '/current/label', 303],
        ['post', '/others/end', 303],
        ['post', '/selected/end', 303],
        ['delete', '/others', 200],
        ['post', '/end', 303],
      ] as const;
      for (const [method, path, status] of changes) {
        const sent = agent[method](BASE + path).set(headers);
        const answer = await (path === '/current'
          ? sent.send({ label: 'x' })
          : sent.type('form').send(`label=x&handle=${'a'.repeat(22)}`));
        expect([path, answer.status]).toEqual([path, passes ? status : 403]);
        if (!passes) expect(answer.body.code).toBe('cross_site');
      }
      expect(await isSignedIn(agent, laptop)).toBe(!passes);
    });

    test("X-Forwarded-Host counts where the proxy is trusted, by Express's own setting", async () => {
      for (const trusted of [true, false]) {
        site = makeSite({ trustProxy: trusted });
        const app = makeApp();
        app.trustProxy(trusted);
        app.mount(BASE, site.router());
        const headers = { ...cookie(laptop), 'X-Forwarded-Host': host, Origin: `https://${host}` };
        await supertest(app.listener)
          .delete(`${BASE}/others`)
          .set(headers)
          .expect(trusted ? 200 : 403);
        await site.close();
      }
    });

    test('reading is allowed from anywhere', async () => {
      await mounted()
        .get(BASE)
        .set({ ...cookie(laptop), 'Sec-Fetch-Site': 'cross-site', Accept: HTML })
        .expect(200);
    });

    test('a token that a function finds counts as a cookie', async () => {
      const from = (req: { headers: Record<string, unknown> }): string => String(req.headers['x-token']);
      const agent = mounted({ from: from as never });
      await agent.delete(`${BASE}/others`).set({ 'X-Token': laptop, 'Sec-Fetch-Site': 'cross-site' }).expect(403);
      await agent
        .delete(`${BASE}/others`)
        .set({ 'X-Token': laptop, ...sameOrigin })
        .expect(200);
    });
  });

  describe('paths and methods', () => {
    test.each([
      ['POST', '', 'GET, HEAD, DELETE'],
      ['PUT', '/current', 'GET, HEAD, PATCH, DELETE'],
      ['GET', '/others', 'DELETE'],
      ['GET', '/end', 'POST'],
      ['DELETE', '/current/end', 'POST'],
      ['PATCH', '/others/end', 'POST'],
      ['GET', '/selected/end', 'POST'],
      ['GET', `/${'a'.repeat(22)}/label`, 'POST'],
    ])('%s %s is 405', async (method, path, allow) => {
      const { status, headers, body } = await raw(mounted(), method, BASE + path, bearer(phone));
      expect([status, headers['allow'], headers['cache-control'], body.status]).toEqual([405, allow, 'no-store', 405]);
    });

    test('OPTIONS tells what is allowed', async () => {
      const { headers } = await mounted().options(`${BASE}/current`).expect(204);
      expect(headers['allow']).toBe('GET, HEAD, PATCH, DELETE');
    });

    test.each(['/a/b/c', '/current/other', '/a/b/end'])('%s is the application’s', async (path) => {
      const { text } = await mounted()
        .get(BASE + path)
        .expect(404);
      expect(text).toBe('application: nothing here');
    });

    test.each(['', '/', '/deep/er', '/%C3%A4'])('is mounted at %j', async (base) => {
      site = makeSite();
      const app = makeApp();
      app.mount(base === '' ? '/' : base, site.router());
      const agent = supertest(app.listener);
      const root = base.replace(/\/$/, '');
      await agent
        .get(root === '' ? '/' : root)
        .set(bearer(phone))
        .expect(200);
      await agent.get(`${root}/?limit=1`).set(bearer(phone)).expect(200);
      const { headers } = await agent.post(`${root}/others/end?x=1`).set(bearer(phone)).expect(303);
      expect(headers['location']).toBe(`${root || '/'}?done=others`);
    });

    test('never redirects to another host', async () => {
      site = makeSite();
      const app = makeApp();
      app.mount('/', (req, res, next) => {
        Object.assign(req, { originalUrl: '//evil.example/others/end', url: '/others/end' });
        site.router()(req, res, next);
      });
      const { headers } = await supertest(app.listener).post('/').set(bearer(phone)).expect(303);
      expect(headers['location']).toBe('/evil.example?done=others');
    });
  });

  describe('the page', () => {
    test('is for who prefers HTML', async () => {
      const agent = mounted();
      const { text, headers } = await agent.get(BASE).set(bearer(phone)).set('Accept', HTML).expect(200);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['cache-control']).toBe('no-store');
      expect(text).toMatch(/^<!doctype html>/);
      expect(text).toContain('action="/account/sessions/current/end"');
      expect((await agent.get(BASE).set(bearer(phone)).set('Accept', '*/*')).type).toBe('application/json');
    });

    test('shows times in the time zone of the option', async () => {
      const shown = async (router: RouterOptions): Promise<string> =>
        (await mounted({ router }).get(BASE).set(bearer(phone)).set('Accept', HTML).expect(200)).text;
      expect(await shown({})).toContain('UTC');
      await site.close();
      expect(await shown({ timeZone: 'Asia/Tokyo' })).toMatch(/06:00 PM GMT\+9/);
    });

    test('shows times in the time zone of the reader', async () => {
      const timeZone = (req: IncomingMessage): string => decodeURIComponent(String(req.headers['x-zone']));
      const agent = mounted({ router: { timeZone } });
      const shown = async (zone: string): Promise<string> => {
        const asked = agent.get(BASE).set({ ...bearer(phone), Accept: HTML, 'X-Zone': zone });
        return /<time [^>]* title="[^"]* at ([^"]*)"/.exec((await asked.expect(200)).text)?.[1] ?? '';
      };
      expect(await shown('Asia/Tokyo')).toBe('06:00 PM GMT+9');
      expect(await shown('asia%2Ftokyo')).toBe('06:00 PM GMT+9');
      // The last cannot be decoded.
      for (const zone of ['', 'Nowhere/City', 'undefined', '__proto__', 'x'.repeat(4000), '%E0%A4%A']) {
        expect(await shown(zone)).toBe('09:00 AM UTC');
      }
    });

    test.each<[string, () => unknown]>([
      ['undefined', () => undefined],
      ['null', () => null],
      ['a number', () => 7],
      ['an object', () => ({ toString: () => 'Asia/Tokyo' })],
    ])('a function that gives %s knows no time zone', async (_what, timeZone) => {
      const agent = mounted({ router: { timeZone: timeZone as never } });
      const { text } = await agent.get(BASE).set(bearer(phone)).set('Accept', HTML).expect(200);
      expect(text).toContain('at 09:00 AM UTC');
    });

    test('a function that gives a promise of a time zone is a mistake of the application', async () => {
      const agent = mounted({ router: { timeZone: (() => Promise.reject(new Error('later'))) as never } });
      const { text } = await agent.get(BASE).set(bearer(phone)).set('Accept', HTML).expect(500);
      expect(text).toBe('application error: timeZone must return the name itself, not a promise of it');
    });

    test('goes into the layout, whose own policy rules everything but framing', async () => {
      const layout = async (html: string): Promise<string> => `<body>${html}</body>`;
      const { text, headers } = await mounted({ router: { layout } })
        .get(BASE)
        .set(bearer(phone))
        .set('Accept', HTML)
        .expect(200);
      expect(text).toMatch(/^<body>.*<\/body>$/s);
      expect(headers['content-security-policy']).toBe("frame-ancestors 'none'");
    });

    test.each<[string, () => never]>([
      [
        'throws',
        () => {
          throw new Error('no layout');
        },
      ],
      ['rejects', (() => Promise.reject(new Error('no layout'))) as never],
      ['gives no text', (() => 7) as never],
    ])('a layout that %s ends at the application', async (_what, layout) => {
      const { text } = await mounted({ router: { layout } })
        .get(BASE)
        .set(bearer(phone))
        .set('Accept', HTML)
        .expect(500);
      expect(text).toMatch(/^application error: (?:no layout|layout must return a string, got a number)$/);
    });

    test('shows what went wrong, under its status', async () => {
      const agent = mounted();
      const unknown = await agent
        .post(`${BASE}/${'a'.repeat(22)}/end`)
        .type('form')
        .set({ ...bearer(phone), Accept: HTML })
        .expect(404);
      expect(unknown.type).toBe('text/html');
      expect(unknown.text).toContain('That device is already signed out.');
      const cross = await agent
        .post(`${BASE}/others/end`)
        .type('form')
        .set({ ...cookie(phone), Accept: HTML, Origin: 'null' })
        .expect(403);
      expect(cross.text).toContain('did not come from this page');
      const anonymous = await agent.get(BASE).set('Accept', HTML).expect(401);
      expect(anonymous.type).toBe('text/html');
      expect(anonymous.headers['www-authenticate']).toBe('Bearer realm="login"');
    });

    test('sends who is signed out to the login, from a form too', async () => {
      const agent = mounted({ loginUrl: '/login' });
      expect((await agent.get(BASE).set('Accept', HTML).expect(303)).headers['location']).toBe('/login');
      const posted = await agent.post(`${BASE}/others/end`).type('form').set('Accept', HTML).expect(303);
      expect(posted.headers['location']).toBe('/login');
    });

    test('leaves refusals to onRefused', async () => {
      const agent = mounted({
        onRefused: (error, _req, res) => {
          res.statusCode = 418;
          res.end(error.code);
        },
      });
      expect((await agent.get(BASE).set('Accept', HTML).expect(418)).text).toBe('no_token');
      expect((await agent.get(`${BASE}/short`).set(bearer(phone)).expect(418)).text).toBe('session_not_found');
    });
  });

  test('a body that never ends, of a client that goes away, harms nothing', async () => {
    site = makeSite();
    const app = makeApp();
    const failed = new Promise<unknown>((resolve) => {
      const { fail } = site.login;
      site.login.fail = (error, ...rest) => {
        resolve(error);
        fail(error, ...rest);
      };
    });
    app.mount(BASE, site.router());
    const server = createServer(app.listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const head = `PATCH ${BASE}/current HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${phone}\r\nContent-Type: application/json\r\n`;
    socket.write(`${head}Content-Length: 1000\r\n\r\n{"label":`);
    await once(server, 'request');
    socket.destroy();
    expect(await failed).toMatchObject({ code: 'request_invalid' });
    server.close();
    await once(server, 'close');
  });
});

describe('options', () => {
  test.each<[unknown, RegExp]>([
    [{ located: () => '' }, /no option "located": did you mean locate\?/],
    [{ cookie: { path: '/' } }, /no option "cookie"/],
    [{ timeZone: 'Nowhere/City' }, /timeZone must be the IANA name of a time zone/],
    [{ timeZone: 7 }, /timeZone must be .* got a number/],
    [{ locate: 'here' }, /locate must be a function/],
    [{ layout: '<html>' }, /layout must be a function/],
    [{ messages: { notYouUrl: 'javascript:alert(1)' } }, /messages.notYouUrl must be null, or a path/],
    [{ messages: { titel: 'x' } }, /messages has no text "titel": did you mean title\?/],
    [{ stylesheet: 'javascript:alert(1)' }, /stylesheet must be/],
    [{ formTargets: 'https://id.example.com' }, /formTargets must be a list/],
    [{ formTargets: ['javascript:alert(1)'] }, /formTargets must be a list of paths or/],
  ])('%j is refused', (options, message) => {
    site = makeSite();
    expect(() => site.router(options as RouterOptions)).toThrow(message);
  });
});

/** supertest writes a body its own way; here it goes out as it is. */
function raw(
  agent: ReturnType<typeof supertest>,
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | Buffer = '',
): Promise<supertest.Response> {
  const methods = { GET: agent.get, POST: agent.post, PUT: agent.put, PATCH: agent.patch, DELETE: agent.delete };
  const sent = methods[method as keyof typeof methods].call(agent, path);
  const { 'Content-Type': type, ...others } = headers;
  sent.set(others);
  if (type) sent.set('Content-Type', type);
  if (body.length > 0) sent.serialize((value: unknown) => value as string).send(body as string);
  return sent.ok(() => true);
}
