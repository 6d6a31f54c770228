/** What people do on the page: each button opens a panel beside it, in which they confirm it or change their mind. */

import { LABEL_LIMIT } from '../core/session.js';
import type { PageSession } from './account.js';
import { markup, type Html } from './markup.js';
import type { PageView } from './page.js';

type Place = Pick<PageView, 'messages' | 'base'>;

/** A session, or several of one row, in words for people. */
export interface Named {
  readonly name: string;
  /** Id of the element that tells it apart from others of the same name. Null: there is no such element. */
  readonly toldBy: string | null;
}

/** Asks for a session's name. */
export function rename(view: Place, session: PageSession, { name, toldBy }: Named, client: string): Html {
  const { messages } = view;
  const id = `ms-name-${session.handle}`;
  const hint = session.label === null ? null : markup`<p class="ms-hint">${messages.removeNameHint}</p>`;
  return panel(view, {
    id,
    opener: { text: messages.rename, spoken: messages.renameDevice(name), toldBy, classes: 'ms-quiet' },
    question: markup`<label for="${id}-text" id="${id}-asks">${messages.nameFor(client)}</label>`,
    path: `/${encodeURIComponent(session.handle)}/label`,
    fields: markup`<input id="${id}-text" name="label" value="${session.label ?? ''}" maxlength="${LABEL_LIMIT}" autocomplete="off" spellcheck="false" autofocus />${hint}`,
    submit: { text: messages.save, classes: 'ms-go' },
  });
}

export function signOut(view: Place, session: PageSession, { name, toldBy }: Named): Html {
  const { messages } = view;
  return endingPanel(view, `ms-end-${session.handle}`, {
    opener: { text: messages.signOut, spoken: messages.signOutDevice(name), toldBy },
    question: session.current ? messages.confirmSignOutHere : messages.confirmSignOut(name),
    path: session.current ? '/current/end' : `/${encodeURIComponent(session.handle)}/end`,
    fields: null,
    submit: messages.signOut,
  });
}

/** Ends all sessions of one row. */
export function signOutAll(view: Place, sessions: readonly PageSession[], { name, toldBy }: Named): Html {
  const { messages } = view;
  const count = sessions.length;
  return endingPanel(view, `ms-end-all-${sessions[0]?.handle ?? ''}`, {
    opener: { text: messages.signOutAll, spoken: messages.signOutSessions(name, count), toldBy },
    question: messages.confirmSignOutSessions(name, count),
    path: '/selected/end',
    fields: markup`${sessions.map(({ handle }) => markup`<input type="hidden" name="handle" value="${handle}" />`)}`,
    submit: messages.signOutAll,
  });
}

export function signOutOthers(view: Place): Html {
  const { messages } = view;
  return endingPanel(view, 'ms-end-others', {
    opener: { text: messages.signOutEverywhereElse, spoken: null, toldBy: null },
    question: messages.confirmSignOutEverywhereElse,
    path: '/others/end',
    fields: null,
    submit: messages.signOutEverywhereElse,
  });
}

interface Ending {
  readonly opener: Omit<Opener, 'classes'>;
  readonly question: string;
  readonly path: string;
  readonly fields: Html | null;
  readonly submit: string;
}

function endingPanel(view: Place, id: string, { opener, question, path, fields, submit }: Ending): Html {
  return panel(view, {
    id,
    opener: { ...opener, classes: '' },
    question: markup`<p id="${id}-asks">${question}</p>`,
    path,
    fields,
    submit: { text: submit, classes: 'ms-go ms-danger' },
  });
}

interface Opener {
  readonly text: string;
  /** The same with the name of the device, for screen readers. */
  readonly spoken: string | null;
  readonly toldBy: string | null;
  readonly classes: string;
}

interface Panel {
  readonly id: string;
  readonly opener: Opener;
  /** Its element has the id `<id>-asks`. */
  readonly question: Html;
  readonly path: string;
  readonly fields: Html | null;
  readonly submit: { readonly text: string; readonly classes: string };
}

/**
 * A popover, which needs no script. The panel itself takes the focus, so that no key that is held down confirms it, unless one
 * of its fields does. Browsers without popovers show the panel in the button's place.
 */
function panel(view: Place, { id, opener, question, path, fields, submit }: Panel): Html {
  const { text, spoken, toldBy, classes } = opener;
  const words =
    spoken === null ? text : markup`<span aria-hidden="true">${text}</span><span class="ms-spoken">${spoken}</span>`;
  const told = toldBy === null ? null : markup` aria-describedby="${toldBy}"`;
  const focus = fields?.text.includes(' autofocus') === true ? null : markup` tabindex="-1" autofocus`;
  return markup`<div class="ms-act" data-live>
    <button type="button" class="ms-opener ${classes}" popovertarget="${id}" aria-haspopup="dialog"${told}>${words}</button>
    <div class="ms-panel" id="${id}" popover role="dialog" aria-labelledby="${id}-asks"${focus}>
      <form method="post" action="${mount(view)}${path}">
        ${question}${fields}
        <div class="ms-buttons">
          <button type="button" class="ms-cancel" popovertarget="${id}" popovertargetaction="hide">${view.messages.cancel}</button>
          <button type="submit" class="${submit.classes}">${submit.text}</button>
        </div>
      </form>
    </div>
  </div>`;
}

/** Always a path of this site: `//host` would be another host. */
export function mount({ base }: Pick<PageView, 'base'>): string {
  const path = base.replace(/^[\\/]+|(?<![\\/])[\\/]+$/g, '');
  return path === '' ? '' : `/${path}`;
}

export function pageUrl(view: Pick<PageView, 'base'>): string {
  return mount(view) || '/';
}
