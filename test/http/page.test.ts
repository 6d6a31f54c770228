import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { LOGIN_ERROR_CODES } from '../../lib/core/errors.js';
import { DONE, doneFrom, englishMessages, languageFor, messagesOffered, problemOf } from '../../lib/http/messages.js';
import type { PageSession, SessionView } from '../../lib/http/account.js';
import { PAGE_STYLE_SOURCE, pagePolicy, renderFragment, renderPage, type PageView } from '../../lib/http/page.js';
import { describeClient } from '../../lib/http/user-agent.js';
import { germanMessages } from './german-messages.js';

const NOW = Date.parse('2026-03-01T09:42:10.000Z');
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const at = (offset: number): string => new Date(NOW + offset).toISOString();

const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
const APP = 'MyApp/1.2 (iPhone; iOS 17.4; Scale/3.00)';
const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\u0000\ud800`;

function session(handle: string, more: Partial<PageSession> = {}): PageSession {
  return {
    handle,
    current: false,
    label: null,
    startedAt: at(-2 * HOUR),
    lastSeenAt: at(-3 * MINUTE),
    expiresAt: at(22 * HOUR),
    ip: '203.0.113.7',
    location: null,
    app: null,
    actor: null,
    client: describeClient(FIREFOX),
    isNew: false,
    ...more,
  };
}

const HERE = session('here', { current: true, lastSeenAt: at(0) });
const PHONE = session('phone', { client: describeClient(APP), ip: '203.0.113.8' });

function view(more: Partial<PageView> = {}): PageView {
  return {
    messages: englishMessages,
    locale: 'en-GB',
    now: NOW,
    base: '/account/sessions',
    current: HERE,
    sessions: [HERE, PHONE],
    total: 2,
    next: null,
    firstPage: true,
    done: null,
    problem: null,
    timeZone: 'UTC',
    ...more,
  };
}

const ENTITIES: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };
const decoded = (text: string): string => text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity] ?? '');

/** What people read: no markup, no stylesheet, single blanks. */
function read(html: string): string {
  const text = html.replace(/<style>[^]*?<\/style>/g, '').replace(/<[^>]*>/g, ' ');
  return decoded(text).replace(/\s+/g, ' ').trim();
}

function matches(html: string, pattern: RegExp): string[] {
  return [...html.matchAll(pattern)].map((match) => match[1] ?? match[0]);
}

const actions = (html: string): string[] => matches(html, /<form method="post" action="([^"]*)"/g);
const times = (html: string): string[] => matches(html, /<time [^>]*>([^<]*)<\/time>/g);

/** The names of all elements, in order; fails where they do not nest. */
function elements(html: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const tags = html.replace(/<style>[^]*?<\/style>/g, '').matchAll(/<(\/?)([a-z][a-z\d]*)((?:"[^"]*"|[^">])*)>/g);
  for (const [, closing, name = '', rest = ''] of tags) {
    if (closing === '/') expect(open.pop()).toBe(name);
    else {
      seen.push(name);
      if (!rest.endsWith('/') && !['meta', 'input', 'link'].includes(name)) open.push(name);
    }
  }
  expect(open).toEqual([]);
  return seen;
}

describe('the page', () => {
  it('tells of each session in words', () => {
    const labelled = session('tablet', { label: "Mum's iPad", location: 'Berlin, Germany' });
    const text = read(renderPage(view({ sessions: [HERE, PHONE, labelled] })));
    expect(text).toContain(
      'This device Firefox on Windows Active now 203.0.113.7 Signed in 2 hours ago Ends in 22 hours',
    );
    expect(text).toContain('MyApp 1.2 on iPhone 203.0.113.8 Last seen 3 minutes ago Signed in 2 hours ago');
    expect(text).toContain("Mum's iPad Firefox on Windows · Berlin, Germany · 203.0.113.7 Last seen");
  });

  it('puts this device first, wherever it comes in the list', () => {
    const text = read(renderPage(view({ sessions: [PHONE, HERE] })));
    expect(text.indexOf('Firefox on Windows')).toBeLessThan(text.indexOf('MyApp 1.2'));
  });

  it('leaves out an address that is not kept', () => {
    expect(renderPage(view({ sessions: [{ ...HERE, ip: null }] }))).not.toContain('ms-detail"');
  });

  it('names the model where the words do not', () => {
    const galaxy = describeClient(
      'Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 Chrome/129.0 Mobile Safari/537.36',
    );
    const text = read(renderPage(view({ sessions: [session('galaxy', { client: galaxy })] })));
    expect(text).toContain('Chrome on Android Samsung SM-S911B · 203.0.113.7');
  });

  const CURL = describeClient('curl/8.9.1');
  const NOBODY = describeClient(null);
  it.each<[string, Partial<SessionView>, string]>([
    ['of a browser', { app: 'Acme Shop' }, 'Firefox on Windows Acme Shop · 203.0.113.7'],
    ['of a program', { app: 'Acme CLI', client: CURL }, 'Acme CLI curl · 203.0.113.7'],
    ['of a client that says nothing', { app: 'Acme CLI', client: NOBODY }, 'Acme CLI 203.0.113.7'],
    [
      'of an app that names only its library',
      { app: 'Acme', client: describeClient('okhttp/4.9.3') },
      'Acme App using okhttp · 203.0.113.7',
    ],
    ['with a label', { app: 'Acme CLI', client: CURL, label: 'build' }, 'build Acme CLI · curl · 203.0.113.7'],
    [
      'of an assistant',
      { actor: 'aide', app: 'Acme CLI', client: CURL },
      'Acme CLI An assistant, acting for you · curl ·',
    ],
    [
      'by the host of its document',
      { app: 'https://app.example.com/client.json', client: CURL },
      'app.example.com curl',
    ],
    ['unless nobody can read it', { app: '3n4b5urk1ft4fl3mg5e62d9ado', client: CURL }, 'curl 203.0.113.7'],
    ['unless it is a UUID', { app: '6f8f57a0-9d2e-4c1b-8f3e-2b7f4f1f0c11' }, 'Firefox on Windows 203.0.113.7'],
    ['unless it is a number', { app: '1234567890', client: CURL }, 'curl 203.0.113.7'],
  ])('names the app %s', (_name, more, expected) => {
    expect(read(renderPage(view({ sessions: [session('one', more)] })))).toContain(expected);
  });

  it('names apps and actors as the site does', () => {
    const messages = {
      ...englishMessages,
      appName: () => 'The “shop”',
      actingForYou: (actor: string) => `by ${actor}`,
    };
    const sessions = [session('one', { app: 'x', actor: HOSTILE, client: CURL })];
    const text = read(renderPage(view({ messages, sessions })));
    expect(text).toContain('The “shop” by ');
    expect(text).toContain('Name for The “shop”');
    expect(renderPage(view({ messages, sessions }))).not.toContain('<script');
  });

  it('has forms for exactly the routes there are', () => {
    expect(actions(renderPage(view()))).toEqual([
      '/account/sessions/here/label',
      '/account/sessions/current/end',
      '/account/sessions/others/end',
      '/account/sessions/phone/label',
      '/account/sessions/phone/end',
    ]);
  });

  it.each([
    ['', '/phone/end', '/'],
    ['/', '/phone/end', '/'],
    ['/a/', '/a/phone/end', '/a'],
    ['//evil.example', '/evil.example/phone/end', '/evil.example'],
    ['/\\evil.example', '/evil.example/phone/end', '/evil.example'],
    ['/a"><b>', '/a&quot;&gt;&lt;b&gt;/phone/end', '/a&quot;&gt;&lt;b&gt;'],
  ])('stays on its own site when mounted at %j', (base, end, home) => {
    const html = renderPage(view({ base, firstPage: false }));
    expect(actions(html)).toContain(end);
    expect(html).toContain(`<a href="${home}">Back to the most recent</a>`);
  });

  it('asks before it signs out, and says to a screen reader which device', () => {
    const html = renderPage(view());
    const summaries = matches(html, /<summary[^>]*>(.*?)<\/summary>/g);
    const spoken = summaries.map((summary) => read(summary.replace(/<span aria-hidden="true">[^<]*<\/span>/, '')));
    expect(spoken).toEqual([
      'Rename Firefox on Windows Cancel',
      'Sign out Firefox on Windows Cancel',
      'Sign out everywhere else Cancel',
      'Rename MyApp 1.2 on iPhone Cancel',
      'Sign out MyApp 1.2 on iPhone Cancel',
    ]);
    expect(read(html)).toContain('Sign out MyApp 1.2 on iPhone? It will need to sign in again.');
    expect(html).not.toMatch(/<details[^>]* open/);
  });

  it('offers the present name for renaming', () => {
    const html = renderPage(view({ sessions: [{ ...PHONE, label: 'a "b"' }] }));
    expect(html).toContain('name="label" value="a &quot;b&quot;" maxlength="64"');
    expect(read(html)).toContain('Name for MyApp 1.2 on iPhone');
  });

  it('is one document, well nested, with a heading order, a language and no script', () => {
    const names = elements(renderPage(view()));
    expect(names.filter((name) => /^h\d$/.test(name))).toEqual(['h1', 'h2', 'h3', 'h2', 'h3']);
    expect(names).not.toContain('script');
    expect(renderPage(view())).toMatch(/^<!doctype html>\s*<html lang="en-GB" dir="ltr">/);
  });

  it('has no id twice', () => {
    const ids = matches(renderPage(view()), / id="([^"]*)"/g);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("links the site's own stylesheet behind its own", () => {
    const html = renderPage(view({ stylesheet: '/site.css?a=1&b="' }));
    expect(html).toMatch(/<\/style>\s*<link rel="stylesheet" href="\/site\.css\?a=1&amp;b=&quot;" \/>/);
    expect(renderPage(view())).not.toContain('<link');
  });
});

describe('how many sessions there are', () => {
  const OTHERS_END = '/account/sessions/others/end';

  it('one: nothing to sign out elsewhere', () => {
    const html = renderPage(view({ sessions: [HERE] }));
    expect(read(html)).toContain('You’re not signed in anywhere else.');
    expect(actions(html)).not.toContain(OTHERS_END);
  });

  it('none, behind the last page', () => {
    const html = renderPage(view({ sessions: [], firstPage: false }));
    expect(read(html)).toContain('There is nothing more to show here. Back to the most recent');
    expect(html).not.toContain('<ul');
  });

  it('sixty: a link to the next page, with its cursor and limit', () => {
    const sessions = [HERE, ...Array.from({ length: 59 }, (_, index) => session(`s${String(index)}`))];
    const html = renderPage(view({ sessions, next: 'a&b="c', limit: 60 }));
    expect(html).toContain('<a href="/account/sessions?cursor=a%26b%3D%22c&amp;limit=60">Show more devices</a>');
    expect(matches(html, /<li /g)).toHaveLength(60);
    expect(html).not.toContain('Back to the most recent');
  });

  it('this device and a page more', () => {
    expect(actions(renderPage(view({ sessions: [HERE], next: 'x' })))).toContain(OTHERS_END);
  });
});

describe('what happened', () => {
  it.each(DONE)('%s is said in a sentence, in the title too', (done) => {
    const html = renderPage(view({ done }));
    expect(html).toContain(`<p class="ms-notice" role="status">${englishMessages.done[done]}</p>`);
    expect(html).toContain(`<title>${englishMessages.done[done]} – Where you’re signed in</title>`);
  });

  it.each<[unknown, unknown]>([
    ['ended', 'ended'],
    ['constructor', null],
    ['', null],
    ['<b>', null],
    [undefined, null],
    [['ended'], null],
    [{ toString: () => 'ended' }, null],
  ])('the query says %j: %j', (value, done) => {
    expect(doneFrom(value)).toBe(done);
  });

  it('a problem comes before what was done', () => {
    const html = renderPage(view({ done: 'ended', problem: 'session_not_found' }));
    expect(html).toContain('<p class="ms-notice ms-problem" role="alert">That device is already signed out.</p>');
    expect(html).not.toContain('role="status"');
  });

  it.each(LOGIN_ERROR_CODES)('%s: a page without sessions says why and leads on', (problem) => {
    const html = renderPage(view({ sessions: null, problem }));
    const text = read(html);
    expect(text).toContain(englishMessages.problems[problemOf(problem)]);
    expect(text).toMatch(problem.endsWith('_unavailable') ? /Try again$/ : /Back to your devices$/);
    expect(html).toContain('<a href="/account/sessions">');
    expect(actions(html)).toEqual([]);
    elements(html);
  });
});

describe('moments', () => {
  const seen = (offset: number): string | undefined =>
    times(renderPage(view({ sessions: [{ ...PHONE, lastSeenAt: at(offset) }] })))[0];

  it.each([
    [5 * MINUTE, 'now'],
    [-59 * SECOND, 'now'],
    [-119 * SECOND, '1 minute ago'],
    [-3 * MINUTE, '3 minutes ago'],
    [-47 * HOUR, '1 day ago'],
    [-8 * DAY, '1 week ago'],
    [-45 * DAY, '1 month ago'],
    [-800 * DAY, '2 years ago'],
  ])('last seen %i ms from now: %s', (offset, words) => {
    expect(seen(offset)).toBe(words);
  });

  it('are dates where they are far', () => {
    const far = { ...PHONE, startedAt: at(-40 * DAY), expiresAt: at(300 * DAY) };
    expect(times(renderPage(view({ sessions: [far] })))).toEqual(['3 minutes ago', '20 Jan 2026', '26 Dec 2026']);
  });

  it('carry the exact moment, in UTC unless a time zone is known', () => {
    const time = (more: Partial<PageView>): string | undefined =>
      matches(renderPage(view({ sessions: [PHONE], ...more })), /<time [^>]*>/g)[0];
    expect(time({})).toBe('<time datetime="2026-03-01T09:39:10.000Z" title="1 March 2026 at 09:39 UTC">');
    expect(time({ timeZone: 'Europe/Berlin' })).toContain('10:39');
  });
});

describe('languages', () => {
  it('speaks German throughout, with German dates', () => {
    const html = renderPage(view({ messages: germanMessages, locale: 'de-AT', done: 'renamed' }));
    expect(html).toContain('<html lang="de-AT" dir="ltr">');
    expect(read(html)).toContain('Firefox auf Windows');
    expect(times(html)).toContain('vor 3 Minuten');
    const english = matches(JSON.stringify(englishMessages), /:"([^"]{6,})"/g);
    const german = matches(JSON.stringify(germanMessages), /:"([^"]{6,})"/g);
    for (const words of english.filter((candidate) => !german.includes(candidate))) {
      expect(read(html)).not.toContain(words);
    }
  });

  it.each([
    ['fr', 'en'],
    ['en-AU', 'en-AU'],
    ['EN-us', 'en-US'],
    ['en-"><script>', 'en'],
    ['', 'en'],
    ['*', 'en'],
  ])('a reader of %j gets English words and the language tag %s', (locale, lang) => {
    expect(renderPage(view({ locale }))).toContain(`<html lang="${lang}" dir="ltr">`);
  });

  it('runs from right to left where the words do', () => {
    const [arabic] = messagesOffered({ language: 'ar', direction: 'rtl', title: 'الأجهزة' });
    expect(renderPage(view({ messages: arabic ?? englishMessages, locale: 'ar-EG' }))).toContain(
      '<html lang="ar-EG" dir="rtl">',
    );
  });

  it.each<[string | undefined, string, string]>([
    [undefined, 'en', 'en'],
    ['', 'en', 'en'],
    ['de', 'de', 'de'],
    ['de-CH,de;q=0.9,en;q=0.8', 'de', 'de-CH'],
    ['fr, de;q=0.5, en-GB;q=0.7', 'en', 'en-GB'],
    ['de;q=0, en', 'en', 'en'],
    ['de;q=x', 'en', 'en'],
    ['*', 'en', 'en'],
    ['fr', 'en', 'en'],
    ['DE-at', 'de', 'de-AT'],
    ['<script>,de', 'de', 'de'],
    [','.repeat(100_000), 'en', 'en'],
  ])('Accept-Language %.30s: %s as %s', (header, language, locale) => {
    const chosen = languageFor([englishMessages, germanMessages], header);
    expect([chosen.messages.language, chosen.locale]).toEqual([language, locale]);
  });

  it('keeps English for the words that are not replaced', () => {
    const [messages] = messagesOffered({ title: 'My devices', done: { ended: 'Gone.' } });
    expect(messages).toEqual({
      ...englishMessages,
      title: 'My devices',
      done: { ...englishMessages.done, ended: 'Gone.' },
    });
    expect(messagesOffered()).toEqual([englishMessages]);
    expect(messagesOffered([germanMessages, {}]).map(({ language }) => language)).toEqual(['de', 'en']);
  });

  it.each<[string, unknown, string]>([
    ['a misspelt word', { titel: 'x' }, 'messages has no text "titel": did you mean title?'],
    ['a word of another kind', { title: 1 }, 'messages.title must be a string, got a number'],
    ['a text for a function', { signOutDevice: 'x' }, 'messages.signOutDevice must be a function, got a string'],
    ['a text for a table', { done: 'x' }, 'messages.done must be an object of texts, got a string'],
    ['a misspelt word in a table', { done: { endet: 'x' } }, 'messages.done has no text "endet": did you mean ended?'],
    ['null', [null], 'messages must be an object of texts, got null'],
    ['a text', 'de', 'messages must be an object of texts, got a string'],
    ['no language', [], 'messages must offer at least one language, got an empty list'],
  ])('refuses %s', (_what, option, message) => {
    const offer: (given: never) => unknown = messagesOffered;
    expect(() => offer(option as never)).toThrow(new TypeError(message));
  });
});

describe('what is hostile', () => {
  const tame = elements(
    renderPage(view({ sessions: [session('a', { label: 'x', location: 'y' })], next: 'n', done: 'ended' })),
  );

  it.each<[string, Partial<SessionView>]>([
    ['label', { label: HOSTILE, location: 'y' }],
    ['place', { label: 'x', location: HOSTILE }],
    ['address', { label: 'x', location: 'y', ip: HOSTILE }],
    ['user agent', { label: 'x', location: 'y', client: { ...PHONE.client, kind: 'desktop', name: HOSTILE } }],
    ['device', { label: 'x', location: 'y', client: { ...PHONE.client, kind: 'desktop', device: HOSTILE } }],
    ['handle', { label: 'x', location: 'y', handle: HOSTILE.toWellFormed() }],
  ])('%s adds no element', (_what, more) => {
    const html = renderPage(view({ sessions: [session('a', more)], next: 'n', done: 'ended' }));
    expect(html).not.toMatch(/<script|<img/);
    expect(html.isWellFormed()).toBe(true);
    expect(html).not.toContain('\u0000');
    const drawing = (name: string): boolean => ['rect', 'path', 'circle'].includes(name);
    expect(elements(html).filter((name) => !drawing(name))).toEqual(tame.filter((name) => !drawing(name)));
  });

  it('whatever text comes, the page keeps its shape', () => {
    const text = fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', '/', 'a', '\\', '`', '=', ' ', '\u202e') });
    fc.assert(
      fc.property(text, text, text, text, (label, location, base, cursor) => {
        const html = renderPage(
          view({
            sessions: [session('a', { label, location: `y${location}` })],
            base,
            next: cursor,
            done: 'ended',
          }),
        );
        expect(elements(html)).toEqual(tame);
      }),
      { numRuns: 200 },
    );
  });

  it('words are escaped like all else', () => {
    const title = '<b>"Devices"</b>';
    expect(renderPage(view({ messages: { ...englishMessages, title } }))).toContain(
      '&lt;b&gt;&quot;Devices&quot;&lt;/b&gt;',
    );
  });

  it('text that runs the other way is kept apart', () => {
    expect(renderPage(view({ sessions: [{ ...PHONE, label: '\u202eabc' }] }))).toContain('<bdi>\u202eabc</bdi>');
  });
});

describe('the fragment', () => {
  it('is a section of a page that has its own heading', () => {
    const names = elements(renderFragment(view()));
    expect(names.filter((name) => /^h\d$/.test(name))).toEqual(['h2', 'h3', 'h4', 'h3', 'h4']);
    expect(names).not.toContain('html');
    expect(names).not.toContain('main');
    expect(renderFragment(view())).toContain('aria-labelledby="ms-title"');
  });

  it('keeps its style to itself', () => {
    const style = /<style>([^]*)<\/style>/.exec(renderFragment(view()))?.[1] ?? '';
    const selectors = matches(style, /(?:^|[}{])\s*([^{}@]+)\{/g).filter((selector) => selector.trim() !== '');
    expect(selectors.length).toBeGreaterThan(30);
    for (const list of selectors) expect(list).toMatch(/^\s*(?:[^,]*\.managed-sessions[^,]*)(?:,[^,]*)*$/);
  });
});

describe('the policy', () => {
  it('allow nothing but the very stylesheet that the page carries', () => {
    const style = /<style>([^]*?)<\/style>/.exec(renderPage(view()))?.[1] ?? '';
    const source = `'sha256-${createHash('sha256').update(style).digest('base64')}'`;
    expect(PAGE_STYLE_SOURCE).toBe(source);
    expect(pagePolicy()).toBe(`default-src 'none'; style-src ${source}; form-action 'self'; base-uri 'none'`);
    expect(renderPage(view())).not.toMatch(/ style="| on\w+="/);
  });

  it.each([
    ['/site.css', "'self'"],
    ['site.css', "'self'"],
    ['https://cdn.example/site.css?v=1', 'https://cdn.example'],
    ['//cdn.example/site.css', 'cdn.example'],
    ['http://localhost:3000/site.css', 'http://localhost:3000'],
    ['/a;script-src *', "'self'"],
  ])('allow a stylesheet at %s, its fonts and images', (stylesheet, source) => {
    expect(pagePolicy({ stylesheet })).toBe(
      `default-src 'none'; style-src ${PAGE_STYLE_SOURCE} ${source}; font-src ${source}; img-src ${source} data:; ` +
        "form-action 'self'; base-uri 'none'",
    );
  });

  it('let a form lead on to where people sign in', () => {
    const formTargets = ['/login', 'https://id.example.com/authorize?x=1', 'https://id.example.com/'];
    expect(pagePolicy({ formTargets })).toContain("form-action 'self' https://id.example.com; base-uri");
  });

  it.each(['javascript:alert(1)', 'data:text/css,', 'https://', 'ftp://example.com/a.css'])(
    'refuse %s',
    (stylesheet) => {
      expect(() => pagePolicy({ stylesheet })).toThrow(new TypeError('stylesheet must be a path or an http(s) URL'));
    },
  );
});
