/** The page's policy on the wire: what is added to the site's own headers, and what stays. */

import supertest from 'supertest';
import { pagePolicy } from '../../lib/http/page.js';
import type { RouterOptions } from '../../lib/http/router.js';
import { describeEachFramework } from '../support/frameworks.js';
import { cookie, makeSite, tokenOf, type Site } from './site.js';

const HTML = { Accept: 'text/html' };
const NOBODY = "frame-ancestors 'none'";
const OWN = pagePolicy();

let site: Site;
afterEach(() => site.close());

type Headers = Readonly<Record<string, string | string[]>>;
const csp = (value: string | string[]): Headers => ({ 'Content-Security-Policy': value });
const xfo = (value: string): Headers => ({ 'X-Frame-Options': value });

describeEachFramework((_framework, makeApp) => {
  /** The policies, with a comma between two, and `X-Frame-Options` of a page, where the site has set these headers before. */
  async function sent(headers: Headers, options: RouterOptions, path = '/', token = tokenOf('s1')): Promise<unknown[]> {
    site = makeSite();
    const app = makeApp();
    app.mount('/', (_req, res, next) => {
      for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
      next();
    });
    app.mount('/', site.router(options));
    const answer = await supertest(app.listener).get(path).set(HTML).set(cookie(token));
    expect(answer.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      vary: 'Accept, Accept-Language',
    });
    return [answer.headers['content-security-policy'], answer.headers['x-frame-options']];
  }

  const layout = { layout: (html: string) => `<main>${html}</main>` };

  test.each<readonly [string, Headers, readonly unknown[]]>([
    ['nothing: nobody may', {}, [NOBODY, 'DENY']],
    [
      'a policy about other things: it stays, and nobody may',
      csp("script-src 'self'"),
      [`script-src 'self', ${NOBODY}`, 'DENY'],
    ],
    ['two policies', csp(["script-src 'self'", 'img-src *']), [`script-src 'self', img-src *, ${NOBODY}`, 'DENY']],
    [
      'a value that only looks like it',
      csp('report-uri /frame-ancestors'),
      [`report-uri /frame-ancestors, ${NOBODY}`, 'DENY'],
    ],
    [
      'a directive that only begins like it',
      csp("frame-ancestors-x 'self'"),
      [`frame-ancestors-x 'self', ${NOBODY}`, 'DENY'],
    ],
    ['a policy that is only reported', { 'Content-Security-Policy-Report-Only': NOBODY }, [NOBODY, 'DENY']],
    [
      'frame-ancestors of its own',
      csp("img-src *; frame-ancestors 'self'"),
      ["img-src *; frame-ancestors 'self'", undefined],
    ],
    [
      'the same in the second of two',
      csp(['img-src *', 'FRAME-ANCESTORS https://a.example']),
      ['img-src *, FRAME-ANCESTORS https://a.example', undefined],
    ],
    ['the same behind a comma', csp('img-src *, frame-ancestors'), ['img-src *, frame-ancestors', undefined]],
    ['X-Frame-Options: SAMEORIGIN', xfo('SAMEORIGIN'), [undefined, 'SAMEORIGIN']],
    ['X-Frame-Options: deny', xfo('deny'), [undefined, 'deny']],
    ['X-Frame-Options that no browser knows', xfo('ALLOW-FROM https://a.example'), [NOBODY, 'DENY']],
    ['X-Frame-Options of which browsers know only one value', xfo('DENY, ALLOWALL'), [NOBODY, 'DENY']],
    ['X-Frame-Options that allows all', xfo('ALLOWALL'), [NOBODY, 'DENY']],
    ['X-Frame-Options that is empty', xfo(''), [NOBODY, 'DENY']],
  ])('inside a layout, where the site said %s', async (_what, headers, expected) => {
    expect(await sent(headers, layout)).toEqual(expected);
  });

  test.each<readonly [string, Headers, readonly unknown[]]>([
    ['nothing: nobody may', {}, [`${OWN}, ${NOBODY}`, 'DENY']],
    ['a policy about other things: ours takes its place', csp('script-src *'), [`${OWN}, ${NOBODY}`, 'DENY']],
    [
      'frame-ancestors of its own',
      csp("script-src *; frame-ancestors 'self'"),
      [`${OWN}, frame-ancestors 'self'`, undefined],
    ],
    ['X-Frame-Options: SAMEORIGIN', xfo('SAMEORIGIN'), [OWN, 'SAMEORIGIN']],
    [
      'both, as helmet does',
      { ...csp("default-src 'self';frame-ancestors 'self'"), ...xfo('SAMEORIGIN') },
      [`${OWN}, frame-ancestors 'self'`, 'SAMEORIGIN'],
    ],
  ])('without a layout, where the site said %s', async (_what, headers, expected) => {
    expect(await sent(headers, {})).toEqual(expected);
  });

  test.each([
    ['a page of a problem', '/unknown', tokenOf('s1')],
    ['a page for nobody', '/', 'rubbish'],
  ])('%s is not framed either', async (_what, path, token) => {
    expect(await sent({}, layout, path, token)).toEqual([NOBODY, 'DENY']);
  });
});
