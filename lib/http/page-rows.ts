/** The rows of the page: one for each session, or for several that look the same. What is known beyond that is behind the row. */

import type { PageSession } from './account.js';
import { foldSessions, type FoldedRow } from './fold.js';
import { KIND_ICONS } from './kind-icons.js';
import { Html, markup } from './markup.js';
import { localeWithin } from './messages.js';
import { MomentsInWords } from './moments.js';
import { rename, signOut, signOutAll, type Named } from './page-actions.js';
import type { PageView } from './page.js';
import { isThisNetwork } from './this-network.js';
import { clientInWords, deviceInWords, namesItself, type ClientKind } from './user-agent.js';

/** The elements of the headings, from the outermost. */
export interface Headings {
  readonly title: Html;
  readonly group: Html;
  readonly session: Html;
  /** Of a session within a row of several. */
  readonly folded: Html;
}

export class Rows {
  readonly #view: PageView;
  readonly #headings: Headings;
  readonly #words: MomentsInWords;

  constructor(view: PageView, headings: Headings) {
    this.#view = view;
    this.#headings = headings;
    this.#words = new MomentsInWords(localeWithin(view.messages, view.locale), view.timeZone, view.now);
  }

  list(sessions: readonly PageSession[]): Html {
    const rows = foldSessions(sessions.map(withoutBlanks), (session) => this.#placeOf(session));
    return markup`<ul class="ms-list" role="list">
      ${rows.map((row) => (row.length === 1 ? this.#single(row[0]) : this.#several(row)))}
    </ul>`;
  }

  #single(session: PageSession): Html {
    const name = session.label ?? this.#clientOf(session);
    const badge = markup` <span class="ms-badge" data-live>${this.#words.at(session.lastSeenAt, this.#view.messages.activeNow)}</span>`;
    const head = this.#head([session], name, this.#lineOf(session), session.current ? badge : null);
    return markup`<li class="ms-session">
      ${icon(session.client.kind)} ${head.html}
      ${signOut(this.#view, session, head.named)} ${this.#details(session, head.named)}
    </li>`;
  }

  #several(row: FoldedRow): Html {
    const { messages } = this.#view;
    const [latest] = row;
    const count = messages.sessions(row.length);
    const { html, named } = this.#head(row, this.#clientOf(latest), [count, ...this.#lineOf(latest)], null);
    return markup`<li class="ms-session ms-several">
      ${icon(latest.client.kind)} ${html} ${signOutAll(this.#view, row, named)}
      <details class="ms-rest">
        <summary><span class="ms-spoken">${messages.showSessions(named.name, row.length)}</span></summary>
        <ul class="ms-inner" role="list">${row.map((session) => this.#within(session, named.name))}</ul>
      </details>
    </li>`;
  }

  /** One of several: what tells it from the others is when it was seen. */
  #within(session: PageSession, name: string): Html {
    const id = `ms-seen-${session.handle}`;
    const named = { name, toldBy: id };
    return markup`<li class="ms-session">
      <div class="ms-head">
        <${this.#headings.folded} class="ms-name" id="${id}">${this.#lastSeen(session)}</${this.#headings.folded}>
        ${this.#mark([session], id)}
      </div>
      ${signOut(this.#view, session, named)} ${this.#details(session, named)}
    </li>`;
  }

  #head(row: FoldedRow, name: string, line: readonly Part[], badge: Html | null): { html: Html; named: Named } {
    const [{ handle, label }] = row;
    const id = `ms-told-${handle}`;
    const heading = `ms-row-${handle}`;
    const title = label === null ? this.#inOrder(name) : markup`<bdi>${label}</bdi>`;
    const html = markup`<div class="ms-head">
      <${this.#headings.session} class="ms-name" id="${heading}">${title}${badge}</${this.#headings.session}>
      ${line.length === 0 ? null : markup`<p class="ms-detail" id="${id}">${line.map((part, index) => markup`${index === 0 ? null : DOT}<bdi>${part}</bdi>`)}</p>`}
      ${this.#mark(row, heading)}
    </div>`;
    return { html, named: { name: inSentence(name), toldBy: line.length === 0 ? null : id } };
  }

  /** In the word order of the texts, because an English word may come first in "Chrome على Mac". */
  #inOrder(client: string): Html {
    return markup`<bdi dir="${this.#view.messages.direction}">${client}</bdi>`;
  }

  /** What the row says below the name. */
  #lineOf(session: PageSession): readonly Part[] {
    const { messages, current } = this.#view;
    const { label, actor, app } = session;
    return [
      label === null ? null : this.#inOrder(this.#clientOf(session)),
      actor === null ? null : messages.actingForYou(actor),
      app === null || app === current?.app || !namesItself(session.client) ? null : messages.appName(app),
      session.current ? null : this.#lastSeen(session),
      this.#placeOf(session),
    ].filter((part): part is Part => part !== null && part !== '');
  }

  #lastSeen({ lastSeenAt }: PageSession): Html {
    return this.#words.at(lastSeenAt, this.#view.messages.lastSeen(this.#words.ago(lastSeenAt)));
  }

  /** `toldBy`: id of the element that says which session the link means. */
  #mark(row: FoldedRow, toldBy: string): Html | null {
    const { newDevice, notYou, notYouUrl } = this.#view.messages;
    if (!row.some(({ isNew, current }) => isNew && !current)) return null;
    const link = notYouUrl === null ? null : markup` <a href="${notYouUrl}" aria-describedby="${toldBy}">${notYou}</a>`;
    return markup`<p class="ms-mark"><span class="ms-new">${newDevice}</span>${link}</p>`;
  }

  #details(session: PageSession, named: Named): Html {
    const { messages } = this.#view;
    const facts = this.#factsOf(session).map(
      ([term, fact]) => markup`<div><dt>${term}</dt><dd><bdi>${fact}</bdi></dd></div>`,
    );
    return markup`<details class="ms-rest">
      <summary><span class="ms-spoken">${messages.showDetails(named.name)}</span></summary>
      <div class="ms-behind">
        <dl class="ms-facts">${facts}</dl>
        ${rename(this.#view, session, named, inSentence(this.#clientOf(session)))}
      </div>
    </details>`;
  }

  #factsOf(session: PageSession): (readonly [string, Part])[] {
    const { messages } = this.#view;
    const { app, client } = session;
    const device = deviceInWords(client);
    const words = this.#clientOf(session);
    const facts: readonly (readonly [string, Part | null])[] = [
      [messages.app, app !== null && namesItself(client) ? messages.appName(app) : null],
      [messages.program, this.#programOf(session)],
      [messages.model, device === null || words.includes(device) ? null : device],
      [messages.version, client.name === null || client.version === null ? null : `${client.name} ${client.version}`],
      [messages.address, this.#addressOf(session)],
      [messages.signedIn, this.#words.near(session.startedAt)],
      [messages.ends, this.#words.near(session.expiresAt)],
    ];
    return facts.flatMap(([term, fact]) => (fact === null || fact === '' ? [] : [[term, fact] as const]));
  }

  /** The address stands for a place that is not known: otherwise two rows could look the same. */
  #placeOf(session: PageSession): string | null {
    return session.location ?? this.#addressOf(session);
  }

  #addressOf({ ip }: PageSession): string | null {
    return ip !== null && isThisNetwork(ip) ? this.#view.messages.thisNetwork : ip;
  }

  /** What the session runs on. An app stands for a client that does not say what it is called. */
  #clientOf({ client, app }: PageSession): string {
    const { messages } = this.#view;
    const name = app === null || namesItself(client) ? '' : messages.appName(app);
    return clientInWords(name === '' ? client : { ...client, name, version: null }, messages);
  }

  /** What an app is made with, if its name stands in place of that. */
  #programOf(session: PageSession): string | null {
    const { client } = session;
    const program = client.name === null ? null : clientInWords(client, this.#view.messages);
    return program === this.#clientOf(session) ? null : program;
  }
}

type Part = Html | string;

/** A name that nobody can see counts as none: a row must have one. */
function withoutBlanks(session: PageSession): PageSession {
  const { label, app, location } = session;
  return { ...session, label: visible(label), app: visible(app), location: visible(location) };
}

function visible(text: string | null): string | null {
  return text === null || /^[\p{Z}\p{Cc}\p{Cf}\p{Cs}\p{DI}]*$/u.test(text) ? null : text;
}

/** Without the characters that would turn the rest of the sentence around. */
function inSentence(name: string): string {
  return name.replace(/[\u202a-\u202e\u2066-\u2069]/g, '');
}

function icon(kind: ClientKind): Html {
  return markup`<svg class="ms-icon" ${DRAWN}>${new Html(KIND_ICONS[kind])}</svg>`;
}

/** Not shown where each part has a line of its own. */
const DOT = markup`<span class="ms-dot"> · </span>`;

const DRAWN = new Html(
  'viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"',
);
