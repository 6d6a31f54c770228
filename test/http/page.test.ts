import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { LOGIN_ERROR_CODES } from '../../lib/core/errors.js';
import { DONE, doneFrom, englishMessages, languageFor, messagesOffered, problemOf } from '../../lib/http/messages.js';
import type { PageSession } from '../../lib/http/account.js';
import { MomentsInWords } from '../../lib/http/moments.js';
import { PAGE_SCRIPT_SOURCE } from '../../lib/http/page-live.js';
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
const SCRIPT = `script-src ${PAGE_SCRIPT_SOURCE}; connect-src 'self'`;
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
  const sessions = more.sessions === undefined ? [HERE, PHONE] : more.sessions;
  return {
    messages: englishMessages,
    locale: 'en-GB',
    now: NOW,
    base: '/account/sessions',
    sessions,
    current: sessions?.find(({ current }) => current) ?? null,
    total: sessions?.length ?? 0,
    next: null,
    firstPage: true,
    done: null,
    problem: null,
    timeZone: null,
    ...more,
  };
}

const ENTITIES: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };
const decoded = (text: string): string => text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity] ?? '');

const ACTION = /<div class="ms-act" data-live>[^]*?<\/form>\s*<\/div>\s*<\/div>/g;

/** What people read before they open a panel. */
const shown = (html: string): string =>
  read(html.replace(ACTION, '').replace(/<span class="ms-spoken">[^<]*<\/span>/g, ''));

/** What people read: no markup, stylesheet or script, single blanks. */
function read(html: string): string {
  const text = withoutScript(html.replace(/<style>[^]*?<\/style>/g, '')).replace(/<[^>]*>/g, ' ');
  return decoded(text).replace(/\s+/g, ' ').trim();
}

function matches(html: string, pattern: RegExp): string[] {
  return [...html.matchAll(pattern)].map((match) => match[1] ?? match[0]);
}

const actions = (html: string): string[] => matches(html, /<form method="post" action="([^"]*)"/g);
const times = (html: string): string[] => matches(html, /<time [^>]*>([^<]*)<\/time>/g);

/** The names of all elements, in order; fails where they do not nest. */
/** Without the page's own script, of which there is one. */
function withoutScript(html: string): string {
  return html.replace(/<script type="module">[^<]*(?:<(?!\/script)[^<]*)*<\/script>/, '');
}

function elements(html: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const tags = withoutScript(html.replace(/<style>[^]*?<\/style>/g, '')).matchAll(
    /<(\/?)([a-z][a-z\d]*)((?:"[^"]*"|[^">])*)>/g,
  );
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
  it('says in the row when a session was last seen and where, and the rest behind it', () => {
    const labelled = session('tablet', { label: "Mum's iPad", location: 'Berlin, Germany' });
    const text = shown(renderPage(view({ sessions: [HERE, PHONE, labelled] })));
    expect(text).toContain(
      'This device Firefox on Windows Active now 203.0.113.7 Version Firefox 131 Address 203.0.113.7 Signed in 2 hours ago Ends in 22 hours Other devices (2)',
    );
    expect(text).toContain(
      'MyApp 1.2 on iPhone Last seen 3 minutes ago · 203.0.113.8 Version MyApp 1.2 Address 203.0.113.8 Signed in',
    );
    expect(text).toContain("Mum's iPad Firefox on Windows · Last seen 3 minutes ago · Berlin, Germany Version");
    const closed = renderPage(view()).replace(/<details [^]*?<\/details>/g, '');
    expect(shown(closed)).toMatch(
      /Active now 203\.0\.113\.7 Other devices \(1\) MyApp 1\.2 on iPhone Last seen 3 minutes ago · 203\.0\.113\.8$/,
    );
  });

  it('puts this device first, wherever it comes in the list', () => {
    const text = shown(renderPage(view({ sessions: [PHONE, HERE] })));
    expect(text.indexOf('Firefox on Windows')).toBeLessThan(text.indexOf('MyApp 1.2'));
  });

  it('shows this device on every page of the list, and how many sessions there are on all of them', () => {
    const html = renderPage(view({ sessions: [PHONE], current: HERE, total: 63, firstPage: false }));
    expect(shown(html)).toMatch(
      /This device Firefox on Windows Active now .* Other devices \(62\) MyApp 1\.2 on iPhone/,
    );
    expect(matches(html, /<li /g)).toHaveLength(2);
  });

  it.each([
    [0, 2, 'Other devices (2)'],
    [1, 2, 'Other devices (2)'],
    [3, 2, 'Other devices (2)'],
    [4, 2, 'Other devices (3)'],
  ])('of %i sessions it shows %i others: %s', (total, others, heading) => {
    const sessions = [HERE, ...Array.from({ length: others }, (_, index) => session(`s${String(index)}`))];
    expect(shown(renderPage(view({ sessions, total })))).toContain(`${heading} `);
  });

  it('tells rows without a place apart by their addresses', () => {
    const sessions = [HERE, session('a'), session('b', { ip: '2001:db8::7' }), session('c', { ip: '10.0.0.1' })];
    const closed = renderPage(view({ sessions })).replace(/<details [^]*?<\/details>/g, '');
    expect(shown(closed)).toMatch(/ago · 203\.0\.113\.7 .* ago · 2001:db8::7 .* ago · This network$/);
  });

  it('leaves out an address that is not kept', () => {
    expect(shown(renderPage(view({ sessions: [{ ...HERE, ip: null }] })))).not.toContain('Address');
  });

  it.each([
    ['::1', 'This network'],
    ['127.0.0.1', 'This network'],
    ['127.8.8.8', 'This network'],
    ['10.255.0.1', 'This network'],
    ['172.16.0.1', 'This network'],
    ['172.31.255.255', 'This network'],
    ['172.32.0.0', '172.32.0.0'],
    ['172.15.255.255', '172.15.255.255'],
    ['192.168.1.20', 'This network'],
    ['192.169.0.1', '192.169.0.1'],
    ['169.254.7.7', 'This network'],
    ['100.64.0.1', 'This network'],
    ['100.127.255.255', 'This network'],
    ['100.128.0.0', '100.128.0.0'],
    ['fe80::1', 'This network'],
    ['fe80::1%eth0', 'This network'],
    ['fd12:3456:789a::1', 'This network'],
    ['fc00::', 'This network'],
    ['fbff::1', 'fbff::1'],
    ['::ffff:10.0.0.1', 'This network'],
    ['::ffff:a00:1', 'This network'],
    ['::FFFF:127.0.0.1', 'This network'],
    ['::ffff:203.0.113.7', '::ffff:203.0.113.7'],
    ['::', 'This network'],
    ['2001:db8::7', '2001:db8::7'],
    ['10.0.0.1.example', '10.0.0.1.example'],
    ['rubbish', 'rubbish'],
  ])('the address %s is shown as %s', (ip, expected) => {
    expect(shown(renderPage(view({ sessions: [session('one', { ip })] })))).toContain(`Address ${expected} Signed in`);
  });

  it.each([
    ['SM-S911B', 'Chrome on Android', 'Device Samsung Version'],
    ['2201117TG', 'Chrome on Android', 'Device Xiaomi Version'],
    ['CPH2205', 'Chrome on Android', 'Device OPPO Version'],
    ['Pixel 8', 'Chrome on Pixel 8', 'on Pixel 8 Last seen 3 minutes ago · 203.0.113.7 Version'],
    ['100011886', 'Chrome on Android', 'on Android Last seen 3 minutes ago · 203.0.113.7 Version'],
  ])('of the model %s it says what people know', (model, name, expected) => {
    const userAgent = `Mozilla/5.0 (Linux; Android 13; ${model}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36`;
    const text = shown(renderPage(view({ sessions: [session('one', { client: describeClient(userAgent) })] })));
    expect(text).toContain(`${name} Last seen`);
    expect(text).toContain(expected);
    if (!name.includes(model)) expect(text).not.toContain(model);
  });

  const CURL = describeClient('curl/8.9.1');
  const NOBODY = describeClient(null);
  const SEEN = 'Last seen 3 minutes ago · 203.0.113.7';
  it.each<[string, Partial<PageSession>, string]>([
    ['of a browser', { app: 'Acme Shop' }, `Firefox on Windows Acme Shop · ${SEEN} App Acme Shop Version Firefox 131`],
    ['of a program', { app: 'Acme CLI', client: CURL }, `Acme CLI ${SEEN} Program curl`],
    ['of a client that says nothing', { app: 'Acme CLI', client: NOBODY }, `Acme CLI ${SEEN} Address`],
    [
      'of an app that names only its library',
      { app: 'Acme', client: describeClient('okhttp/4.9.3') },
      `Acme ${SEEN} Program App using okhttp`,
    ],
    ['with a label', { app: 'Acme CLI', client: CURL, label: 'build' }, `build Acme CLI · ${SEEN} Program curl`],
    [
      'of an assistant',
      { actor: 'aide', app: 'Acme CLI', client: CURL },
      `Acme CLI An assistant, acting for you · ${SEEN} Program curl`,
    ],
    [
      'by the host of its document',
      { app: 'https://app.example.com/client.json', client: CURL },
      `app.example.com ${SEEN} Program curl`,
    ],
    ['unless nobody can read it', { app: '3n4b5urk1ft4fl3mg5e62d9ado', client: CURL }, `curl ${SEEN}`],
    ['unless it is a UUID', { app: '6f8f57a0-9d2e-4c1b-8f3e-2b7f4f1f0c11' }, `Firefox on Windows ${SEEN} Version`],
    ['unless it is a number', { app: '1234567890', client: CURL }, `curl ${SEEN}`],
  ])('names the app %s', (_name, more, expected) => {
    expect(shown(renderPage(view({ sessions: [session('one', more)] })))).toContain(expected);
  });

  it('does not repeat in each row the app that this device uses as well', () => {
    const sessions = [
      { ...HERE, app: 'Acme Shop' },
      session('same', { app: 'Acme Shop', ip: '203.0.113.8' }),
      session('other', { app: 'Acme Admin' }),
    ];
    const text = shown(renderPage(view({ sessions })));
    expect(text).toContain('Firefox on Windows Last seen 3 minutes ago · 203.0.113.8 App Acme Shop');
    expect(text).toContain(`Firefox on Windows Acme Admin · ${SEEN} App Acme Admin`);
  });

  it('names apps and actors as the site does', () => {
    const messages = {
      ...englishMessages,
      appName: () => 'The “shop”',
      actingForYou: (actor: string) => `by ${actor}`,
    };
    const sessions = [session('one', { app: 'x', actor: HOSTILE, client: CURL })];
    const text = read(renderPage(view({ messages, sessions })));
    expect(text).toContain('The “shop” by "');
    expect(text).toContain('Name for The “shop”');
    expect(withoutScript(renderPage(view({ messages, sessions })))).not.toContain('<script');
  });

  it('has forms for exactly the routes there are', () => {
    expect(actions(renderPage(view()))).toEqual([
      '/account/sessions/current/end',
      '/account/sessions/here/label',
      '/account/sessions/others/end',
      '/account/sessions/phone/end',
      '/account/sessions/phone/label',
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
    const openers = matches(html, /<button type="button" class="ms-opener[^>]*>(.*?)<\/button>/g);
    expect(openers.map((opener) => read(opener.replace(/<span aria-hidden="true">[^<]*<\/span>/, '')))).toEqual([
      'Sign out Firefox on Windows',
      'Rename Firefox on Windows',
      'Sign out everywhere else',
      'Sign out MyApp 1.2 on iPhone',
      'Rename MyApp 1.2 on iPhone',
    ]);
    expect(read(html)).toContain(
      'Sign out MyApp 1.2 on iPhone? It will need to sign in again. Cancel Sign out Details of MyApp 1.2 on iPhone',
    );
    expect(html).not.toMatch(/<details[^>]* open/);
  });

  it('each button opens the panel behind it, whose question is its name', () => {
    const html = renderPage(view({ sessions: [HERE, PHONE, session('a'), session('b')] }));
    const opened = matches(html, /class="ms-opener[^>]* popovertarget="([^"]*)"/g);
    expect(opened).toEqual(matches(html, /<div class="ms-panel" id="([^"]*)" popover role="dialog"/g));
    expect(opened).toEqual(matches(html, /class="ms-cancel" popovertarget="([^"]*)" popovertargetaction="hide"/g));
    const ids = matches(html, / id="([^"]*)"/g);
    const references = [
      ...matches(html, / aria-labelledby="([^"]*)"/g),
      ...matches(html, / aria-describedby="([^"]*)"/g),
      ...matches(html, / for="([^"]*)"/g),
    ];
    expect(references.length).toBeGreaterThan(20);
    for (const reference of references) expect(ids).toContain(reference);
  });

  it('marks what must vanish once the session has ended', () => {
    const live = withoutScript(renderPage(view()))
      .replace(/<style>[^]*?<\/style>/, '')
      .replace(ACTION, '')
      .replace(/<span class="ms-badge" data-live>[^]*?<\/span>/, '');
    expect(live).not.toMatch(/<form|<button|popover|Active now|data-live/);
  });

  it('offers the present name for renaming', () => {
    const html = renderPage(view({ sessions: [{ ...PHONE, label: 'a "b"' }] }));
    expect(html).toContain('name="label" value="a &quot;b&quot;" maxlength="64"');
    expect(read(html)).toContain('Name for MyApp 1.2 on iPhone');
    expect(read(html)).toContain('Leave it empty to remove the name. Cancel Save name');
  });

  it('is one document, well nested, with a heading order, a language and no script but its own', () => {
    const names = elements(renderPage(view()));
    expect(names.filter((name) => /^h\d$/.test(name))).toEqual(['h1', 'h2', 'h3', 'h2', 'h3']);
    expect(names).not.toContain('script');
    expect(renderPage(view())).toMatch(/^<!doctype html>\s*<html lang="en-GB" dir="ltr">/);
  });

  it('has no id twice', () => {
    const sessions = [HERE, PHONE, session('a'), session('b'), session('c', { label: 'c' })];
    const ids = matches(renderPage(view({ sessions })), / id="([^"]*)"/g);
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
    const sessions = [
      HERE,
      ...Array.from({ length: 59 }, (_, index) => session(`s${String(index)}`, { ip: `203.0.113.${String(index)}` })),
    ];
    const html = renderPage(view({ sessions, next: 'a&b="c', limit: 60 }));
    expect(html).toContain('<a href="/account/sessions?cursor=a%26b%3D%22c&amp;limit=60">Show more devices</a>');
    expect(matches(html, /<li /g)).toHaveLength(60);
    expect(html).not.toContain('Back to the most recent');
  });

  it('this device and a page more', () => {
    expect(actions(renderPage(view({ sessions: [HERE], total: 2, next: 'x' })))).toContain(OTHERS_END);
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

describe('sessions that look the same', () => {
  const rows = (sessions: readonly PageSession[]): string[] =>
    matches(renderPage(view({ sessions: [HERE, ...sessions] })), /<h3 class="ms-name" id="ms-row-([^"]*)"/g).slice(1);
  const CHROME =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36';
  const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0';

  it.each<[string, boolean, Partial<PageSession>]>([
    ['at other times', true, { lastSeenAt: at(-DAY), startedAt: at(-2 * DAY), expiresAt: at(DAY) }],
    ['of another version', true, { client: describeClient(FIREFOX.replaceAll('131', '132')) }],
    ['of another browser', false, { client: describeClient(CHROME) }],
    ['on another system', false, { client: describeClient(MAC) }],
    ['at another address', false, { ip: '203.0.113.8' }],
    ['at no known address', false, { ip: null }],
    ['at a known place', false, { location: 'Berlin' }],
    ['with a label', false, { label: 'Firefox on Windows' }],
    ['of another app', false, { app: 'Acme CLI' }],
    ['for which somebody acts', false, { actor: 'aide' }],
  ])('%s: in one row %p', (_what, isFolded, more) => {
    expect(rows([session('a'), session('b', more)])).toEqual(isFolded ? ['a'] : ['a', 'b']);
  });

  it.each<[string, Partial<PageSession>, Partial<PageSession>, boolean]>([
    ['one place at two addresses', { location: 'Berlin' }, { location: 'Berlin', ip: '198.51.100.1' }, true],
    ['two addresses of this network', { ip: '10.0.0.1' }, { ip: '::1' }, true],
    ['two models', { client: { ...PHONE.client, device: 'Samsung SM-S911B' } }, { client: PHONE.client }, false],
    ['one app', { app: 'Acme' }, { app: 'Acme' }, true],
    ['one actor', { actor: 'aide' }, { actor: 'aide' }, true],
    ['the same label', { label: 'x' }, { label: 'x' }, false],
  ])('%s', (_what, one, other, isFolded) => {
    expect(rows([session('a', one), session('b', other)])).toHaveLength(isFolded ? 1 : 2);
  });

  it('are one row, in the place of the one that was seen last, with each session behind it', () => {
    const several = [
      session('a'),
      PHONE,
      session('b', { lastSeenAt: at(-DAY), isNew: true }),
      session('c', { lastSeenAt: at(-3 * DAY) }),
    ];
    const html = renderPage(view({ sessions: [HERE, ...several] }));
    expect(rows(several)).toEqual(['a', 'phone']);
    expect(shown(html)).toContain(
      'Other devices (4) Firefox on Windows 3 sessions · Last seen 3 minutes ago · 203.0.113.7 New',
    );
    expect(read(html)).toContain(
      'Sign out all 3 sessions of Firefox on Windows? They will need to sign in again. Cancel Sign out all Show the 3 sessions',
    );
    const inner = matches(html, /<ul class="ms-inner"[^]*?<\/ul>/g);
    expect(inner).toHaveLength(1);
    expect(shown(inner[0] ?? '')).toMatch(
      /^Last seen 3 minutes ago Version .* Last seen 1 day ago New Version .* Last seen 3 days ago Version/,
    );
    expect(actions(inner[0] ?? '')).toEqual(
      ['a', 'b', 'c'].flatMap((handle) => [`/account/sessions/${handle}/end`, `/account/sessions/${handle}/label`]),
    );
    const selected = /action="\/account\/sessions\/selected\/end">[^]*?<\/form>/.exec(html)?.[0] ?? '';
    expect(matches(selected, /<input type="hidden" name="handle" value="([^"]*)" \/>/g)).toEqual(['a', 'b', 'c']);
    elements(html);
  });

  it('whatever the sessions are, each is behind exactly one row', () => {
    const few = fc.record({
      ip: fc.constantFrom('203.0.113.7', '203.0.113.8', null),
      label: fc.constantFrom(null, null, 'x'),
      app: fc.constantFrom(null, 'Acme'),
      actor: fc.constantFrom(null, null, 'aide'),
      client: fc.constantFrom(PHONE.client, HERE.client),
    });
    fc.assert(
      fc.property(fc.array(few, { maxLength: 12 }), (drawn) => {
        const sessions = drawn.map((more, index) => session(`s${String(index)}`, more));
        const html = renderPage(view({ sessions }));
        const ended = actions(html).filter((action) => /\/s\d+\/end$/.test(action));
        expect(ended).toHaveLength(sessions.length);
        expect(new Set(ended).size).toBe(sessions.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a session of a new client', () => {
  const NEW = session('new', { isNew: true });
  const marks = (html: string): string[] => matches(html, /<p class="ms-mark">([^]*?)<\/p>/g).map(read);

  it('has a mark, and a link if the site says where it leads', () => {
    expect(marks(renderPage(view({ sessions: [HERE, NEW, PHONE] })))).toEqual(['New']);
    const html = renderPage(
      view({ sessions: [HERE, NEW, PHONE], messages: { ...englishMessages, notYouUrl: '/password?from="' } }),
    );
    expect(marks(html)).toEqual(['New Not you?']);
    expect(html).toContain('<a href="/password?from=&quot;" aria-describedby="ms-row-new">Not you?</a>');
  });

  it('but not if people look at it from there', () => {
    expect(marks(renderPage(view({ sessions: [{ ...HERE, isNew: true }, PHONE] })))).toEqual([]);
  });

  it.each<[unknown, boolean]>([
    [null, true],
    ['/password', true],
    ['https://id.example.com/reset', true],
    ['//evil.example/', false],
    ['/\\evil.example/', false],
    ['javascript:alert(1)', false],
    ['data:text/html,x', false],
    ['', false],
    [undefined, false],
    [7, false],
    [() => '/password', false],
    ['/pass word', false],
  ])('notYouUrl may be %p: %p', (notYouUrl, isValid) => {
    const offer = (): unknown => messagesOffered({ notYouUrl } as never);
    if (isValid) expect(offer()).toMatchObject([{ notYouUrl }]);
    else expect(offer).toThrow(/^messages\.notYouUrl must be null, or a path that begins with one slash, or/);
  });
});

describe('moments', () => {
  const seen = (offset: number): string | undefined =>
    times(renderPage(view({ sessions: [{ ...PHONE, lastSeenAt: at(offset) }] })))[0];
  const near = (offset: number, timeZone: string | null = null): string =>
    read(new MomentsInWords('en-GB', timeZone, NOW).near(at(offset)).text);

  it.each([
    [5 * MINUTE, 'now'],
    [-29 * SECOND, 'now'],
    [-31 * SECOND, '1 minute ago'],
    [-89 * SECOND, '1 minute ago'],
    [-3 * MINUTE, '3 minutes ago'],
    [-59 * MINUTE - 29 * SECOND, '59 minutes ago'],
    [-59 * MINUTE - 31 * SECOND, '1 hour ago'],
    [-23.4 * HOUR, '23 hours ago'],
    [-23.6 * HOUR, '1 day ago'],
    [-47 * HOUR, '2 days ago'],
    [-6.4 * DAY, '6 days ago'],
    [-6.6 * DAY, '1 week ago'],
    [-8 * DAY, '1 week ago'],
    [-31 * DAY, '4 weeks ago'],
    [-32 * DAY, '1 month ago'],
    [-344 * DAY, '11 months ago'],
    [-346 * DAY, '1 year ago'],
    [-800 * DAY, '2 years ago'],
  ])('last seen %d ms from now: %s', (offset, words) => {
    expect(seen(offset)).toBe(`Last seen ${words}`);
  });

  it.each([
    [12 * HOUR - 1, 'in 12 hours'],
    [12 * HOUR - 20 * MINUTE, 'in 12 hours'],
    [HOUR - 1, 'in 1 hour'],
    [DAY - 1, 'in 1 day'],
    [7 * DAY - 1, 'in 1 week'],
    [30 * DAY - 1, 'in 4 weeks'],
    [365 * DAY - 1, 'in 1 year'],
    [90 * SECOND, 'in 2 minutes'],
    [0, 'now'],
    [-1, 'now'],
  ])('%d ms from now: %s', (offset, words) => {
    expect(near(offset)).toBe(words);
  });

  const LENGTHS = { minute: MINUTE, hour: HOUR, day: DAY, week: 7 * DAY, month: 30 * DAY, year: 365 * DAY };
  const MOST = { minute: 59, hour: 23, day: 6, week: 4, month: 11, year: Infinity };

  it('are off by half a unit at most, and never in sixty minutes, 24 hours or seven days', () => {
    const distance = fc.oneof(
      fc.integer({ min: 0, max: 3 * 365 * DAY }),
      // Around the edges of each unit.
      fc
        .tuple(
          fc.constantFrom(...Object.values(LENGTHS)),
          fc.integer({ min: 1, max: 60 }),
          fc.integer({ min: -2, max: 2 }),
        )
        .map(([length, count, off]) => Math.max(0, Math.round(length * (count - 0.5)) + off)),
    );
    fc.assert(
      fc.property(distance, fc.boolean(), (away, isPast) => {
        const words = near(isPast ? -away : away);
        if (words === 'now') {
          expect(away).toBeLessThanOrEqual(MINUTE / 2);
          return;
        }
        const [, , count = '', unit = ''] = /^(in )?(\d+) (\w+?)s?( ago)?$/.exec(words) ?? [];
        const name = unit as keyof typeof LENGTHS;
        expect(words.startsWith('in ')).toBe(!isPast);
        expect(words.endsWith(' ago')).toBe(isPast);
        expect(Number(count)).toBeGreaterThanOrEqual(1);
        expect(Number(count)).toBeLessThanOrEqual(MOST[name]);
        // A month of 30 days begins before the week's count ends, and twelve of them before the year does.
        const slack = name === 'year' || name === 'month' ? 20 * DAY : 1;
        expect(Math.abs(Number(count) * LENGTHS[name] - away)).toBeLessThanOrEqual(LENGTHS[name] / 2 + slack);
      }),
      { numRuns: 2000 },
    );
  });

  it('are relative, however far they are, if nobody knows the time zone', () => {
    const far = { ...PHONE, startedAt: at(-40 * DAY), expiresAt: at(300 * DAY) };
    expect(times(renderPage(view({ sessions: [far] })))).toEqual([
      'Last seen 3 minutes ago',
      '1 month ago',
      'in 10 months',
    ]);
  });

  it('are dates where they are far, in a known time zone', () => {
    const far = { ...PHONE, startedAt: at(-40 * DAY), expiresAt: at(300 * DAY) };
    expect(times(renderPage(view({ sessions: [far], timeZone: 'UTC' })))).toEqual([
      'Last seen 3 minutes ago',
      '20 Jan 2026',
      '26 Dec 2026',
    ]);
    // 09:42 UTC is another day on the other side of the world.
    expect(near(-40 * DAY, 'Pacific/Honolulu')).toBe('19 Jan 2026');
    expect(near(6.4 * DAY, 'UTC')).toBe('in 6 days');
    expect(near(6.6 * DAY, 'UTC')).toBe('8 Mar 2026');
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
    const sessions = [HERE, session('a', { isNew: true }), session('b'), { ...PHONE, ip: '::1' }];
    const html = renderPage(view({ sessions, messages: germanMessages, locale: 'de-AT', done: 'renamed' }));
    expect(html).toContain('<html lang="de-AT" dir="ltr">');
    expect(read(html)).toContain('Firefox auf Windows');
    expect(times(html)).toContain('Zuletzt aktiv vor 3 Minuten');
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

  it.each<[string, Partial<PageSession>]>([
    ['label', { label: HOSTILE, location: 'y' }],
    ['place', { label: 'x', location: HOSTILE }],
    ['address', { label: 'x', location: 'y', ip: HOSTILE }],
    ['user agent', { label: 'x', location: 'y', client: { ...PHONE.client, kind: 'desktop', name: HOSTILE } }],
    ['device', { label: 'x', location: 'y', client: { ...PHONE.client, kind: 'desktop', device: HOSTILE } }],
    ['handle', { label: 'x', location: 'y', handle: HOSTILE.toWellFormed() }],
  ])('%s adds no element', (_what, more) => {
    const html = renderPage(view({ sessions: [session('a', more)], next: 'n', done: 'ended' }));
    expect(withoutScript(html)).not.toMatch(/<script|<img/);
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
            sessions: [session('a', { label: `x${label}`, location: `y${location}` })],
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

  it.each(['', ' ', '\u200b\u200d', '\u202e', '\u3164', '\ufe0f', '\ud800'])('%j is no name', (blank) => {
    const client = describeClient('okhttp/4.12.0');
    const blanks = { label: blank, app: blank, location: blank, client };
    const html = renderPage(view({ sessions: [session('a', blanks)] }));
    const plain = renderPage(view({ sessions: [session('a', { client })] }));
    expect(html).toBe(plain);
  });

  it.each<[string, Partial<PageSession>]>([
    ['a label', { label: 'abc\u2069\u202e' }],
    ['an app', { app: 'abc\u2069\u202e', client: describeClient('okhttp/4.12.0') }],
  ])('and does not turn a sentence around: %s', (_what, of) => {
    const html = renderPage(view({ sessions: [session('a', of), session('b', of)] }));
    expect(html).toContain('Sign out abc? It will need to sign in again.');
    const ours = html.replace(/<bdi[^>]*>[^<]*<\/bdi>/g, '').replace(/ value="[^"]*"/g, '');
    expect(ours).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
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
  it('allow nothing but the very stylesheet and script that the page carries', () => {
    const style = /<style>([^]*?)<\/style>/.exec(renderPage(view()))?.[1] ?? '';
    const source = `'sha256-${createHash('sha256').update(style).digest('base64')}'`;
    expect(PAGE_STYLE_SOURCE).toBe(source);
    expect(pagePolicy()).toBe(
      `default-src 'none'; ${SCRIPT}; style-src ${source}; form-action 'self'; base-uri 'none'`,
    );
    const script = /<script type="module">([^]*?)<\/script>/.exec(renderPage(view()))?.[1] ?? '';
    expect(PAGE_SCRIPT_SOURCE).toBe(`'sha256-${createHash('sha256').update(script).digest('base64')}'`);
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
      `default-src 'none'; ${SCRIPT}; style-src ${PAGE_STYLE_SOURCE} ${source}; font-src ${source}; img-src ${source} data:; ` +
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
