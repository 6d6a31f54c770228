/**
 * For the browser: reads login tokens, for display only, and tells a page when its session ends. Nothing is verified here: that
 * is the server's task. One file, no dependencies. Works with a bundler, as a plain `<script type="module">`, and with CommonJS.
 */

// Declared here, as far as they are used, so that the module needs neither the types of the DOM nor those of Node.
declare function atob(base64: string): string;
declare function fetch(url: string, options: object): Promise<Answer>;
declare function setTimeout(work: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function queueMicrotask(work: () => void): void;
declare class TextDecoder {
  constructor(label?: string, options?: { fatal: boolean });
  decode(bytes: Uint8Array | undefined, options?: { stream: boolean }): string;
}
declare class AbortController {
  readonly signal: Signal;
  abort(): void;
}
interface Signal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
}
interface Answer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): Reader } | null;
  json(): Promise<unknown>;
}
interface Reader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
}
declare class BroadcastChannel {
  constructor(name: string);
  onmessage: ((message: { readonly data?: string }) => void) | null;
  postMessage(text?: string): void;
  close(): void;
}
type Hold = (lock: object | null) => Promise<void> | undefined;
type LockOptions = { readonly steal: boolean; readonly ifAvailable: boolean } | { readonly signal: Signal };
type Listen = (type: string, listener: () => void, options: { readonly signal: Signal }) => void;
/** What not every place has where scripts run. */
interface Scope {
  readonly navigator?: { readonly locks?: { request(name: string, options: LockOptions, hold: Hold): Promise<void> } };
  readonly document?: { readonly visibilityState: string };
  readonly addEventListener?: Listen;
}

/** The claims of a token. They are not verified, and the type of each is unknown until you check it. */
export type LoginClaims = Readonly<Record<string, unknown>>;

export interface ExpiryOptions {
  /** How far clocks may differ, in milliseconds. Default 0. */
  readonly clockTolerance?: number;
  /** Milliseconds since 1970. Default now. */
  readonly now?: number;
}

/** The claims of a JWT in compact form (RFC 7519), in UTF-8; `null` for anything else. Verifies nothing. */
export function parseLoginToken(token: unknown): LoginClaims | null {
  const payload = typeof token === 'string' && /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)?.[1];
  if (!payload) return null;
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (char) => char.charCodeAt(0));
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    // Of all JSON, only an object begins with a brace.
    return /^\s*{/.test(text) ? (JSON.parse(text) as LoginClaims) : null;
  } catch {
    return null;
  }
}

/**
 * Whether the claims have expired, by the clock of this device. Without `exp`, they never expire. If `exp` is not a number,
 * or if there are no claims, they count as expired.
 */
export function isExpired(
  claims: LoginClaims | null | undefined,
  { clockTolerance = 0, now = Date.now() }: ExpiryOptions = {},
): boolean {
  const { exp } = claims ?? { exp: null };
  return exp !== undefined && (typeof exp !== 'number' || now >= exp * 1000 + clockTolerance);
}

export interface WatchOptions {
  /**
   * Called once, when the session has ended. `code` is that of the 401 with which the server refused it, such as `session_idle`
   * or `token_expired`; `signed_out` if the session ended while it was watched, or if the 401 has no code.
   */
  readonly onEnded: (ended: { readonly code: string }) => void;
  /** Called whenever the server has confirmed the session: at the start, when a page has come back, after an outage. */
  readonly onLive?: () => void;
}

/** Milliseconds without a heartbeat, which comes every 16 seconds, until a connection is taken for dead. */
const SILENCE = 45_000;
/** Characters. An event of ours has about a hundred. */
const LONGEST_EVENT = 9999;
const EVENTS = 'text/event-stream';

/**
 * Where a tab hears of its session: from the server, from the tab that leads, or from nobody: after a failure until it tries
 * again, and while its page is left.
 */
type Source = 'server' | 'tab' | 'nobody';

/**
 * Calls `onEnded` when the session of this page ends, whatever ends it. `url` is the route `/events` of `router()`. The tabs of a
 * browser share one connection. Returns a function that stops it.
 */
export function watchSession(url: string, { onEnded, onLive }: WatchOptions): () => void {
  const { document, addEventListener } = globalThis as unknown as Scope;
  const stopping = new AbortController();
  let address = url;
  let connection = new AbortController();
  let source: Source;
  let dueAt: number;
  let timer: unknown;
  let failures = 0;
  let tabs: Tabs | undefined;

  function hearFrom(next: Source, ms: number): void {
    connection.abort();
    connection = new AbortController();
    source = next;
    expectWithin(ms);
  }

  /** If nothing is heard for so many milliseconds, the tab asks the server. */
  function expectWithin(ms: number): void {
    clearTimeout(timer);
    dueAt = Date.now() + ms;
    timer = setTimeout(connect, ms);
  }

  function connect(): void {
    hearFrom('server', SILENCE);
    onHeard();
    void listen(connection.signal);
  }

  async function listen(signal: Signal): Promise<void> {
    const pause = await readEvents(address, signal, onHeard, onEvent, onEnd);
    if (signal.aborted) return;
    const backoff = 1000 * Math.min(40, 2 ** failures++) * (0.5 + Math.random());
    hearFrom('nobody', Math.max(pause, backoff));
  }

  function onHeard(): void {
    expectWithin(SILENCE);
    tabs?.tell('');
  }

  function onEvent(name = '', data = ''): void {
    if (name === 'event: signed-out') onEnd('signed_out');
    else if (name === 'event: signed-in') {
      if (onLive) queueMicrotask(onLive);
      // By the next time, somebody else may have signed in.
      address = url.replace(/\?|$/, `?handle=${data.split('"')[3] ?? ''}&`);
      meet(`managed-sessions ${data}`);
    } else failures = 0;
  }

  function onEnd(code: string): void {
    tabs?.tell(code);
    stop();
    queueMicrotask(() => onEnded({ code }));
  }

  function meet(place: string): void {
    const isKnown = tabs?.place === place;
    if (isKnown && tabs?.leads) return;
    tabs?.leave();
    // A tab that leads and is not heard may stand still, as on a phone.
    tabs = joinTabs(place, isKnown, onEnd, wake, (leads) => {
      if (!leads) hearFrom('tab', 2 * SILENCE);
      else if (source !== 'server') connect();
    });
  }

  /** The page may have slept, or the tab that leads waits to try again. */
  function wake(): void {
    if (source === 'nobody' || Date.now() > dueAt) connect();
    else if (source !== 'server') tabs?.tell();
  }

  /** Not for a page that is left: a connection would keep it out of the back-forward cache. */
  function onShown(): void {
    if (document?.visibilityState !== 'hidden') wake();
  }

  function letGo(): void {
    source = 'nobody';
    clearTimeout(timer);
    connection.abort();
    tabs?.leave();
    tabs = undefined;
  }

  function stop(): void {
    stopping.abort();
    letGo();
  }

  const options = { signal: stopping.signal };
  addEventListener?.('pagehide', letGo, options);
  addEventListener?.('pageshow', onShown, options);
  addEventListener?.('online', wake, options);
  addEventListener?.('visibilitychange', onShown, options);
  connect();
  return stop;
}

/**
 * Calls `onHeard` with whatever comes, `onEvent` with the lines of each event, `onEnd` if the session is refused. Resolves when no
 * more can come, to the milliseconds for which the server wants no other request.
 */
async function readEvents(
  url: string,
  signal: Signal,
  onHeard: () => void,
  onEvent: (name?: string, data?: string) => void,
  onEnd: (code: string) => void,
): Promise<number> {
  try {
    const answer = await fetch(url, { headers: { accept: EVENTS }, credentials: 'include', signal });
    const { body, headers, status } = answer;
    if (status === 401) {
      const problem = (await answer.json().catch(() => null)) as { code?: string } | null;
      if (!signal.aborted) onEnd(problem?.code ?? 'signed_out');
    }
    // A proxy may have led to a login page.
    const reader = headers.get('content-type')?.startsWith(EVENTS) && body?.getReader();
    if (!reader) return 1000 * Math.min(3600, Number(headers.get('retry-after')) || 0);
    const decoder = new TextDecoder();
    for (let text = ''; text.length < LONGEST_EVENT;) {
      const { value, done } = await reader.read();
      // What was read just before may come after.
      if (done || signal.aborted) break;
      onHeard();
      const events = (text + decoder.decode(value, { stream: true })).split('\n\n');
      text = events.pop() ?? '';
      events.forEach((event) => {
        if (!signal.aborted) onEvent(...event.split('\n'));
      });
    }
  } catch {
    // Not reached, or cut off.
  }
  return 0;
}

/** The tabs with the same session. One of them leads: it has the connection, and tells the others what it hears. */
interface Tabs {
  readonly place: string;
  leads: boolean;
  /** The code with which the session ended. Empty: it goes on. None: asks the one that leads. */
  tell(code?: string): void;
  leave(): void;
}

/**
 * Calls `onAsked` if another tab asks this one, which leads; `onTurn` when this tab leads, or hears from another. Undefined where
 * tabs cannot know of each other: then each has a connection of its own.
 */
function joinTabs(
  place: string,
  takesOver: boolean,
  onEnd: (code: string) => void,
  onAsked: () => void,
  onTurn: (leads: boolean) => void,
): Tabs | undefined {
  const locks = (globalThis as unknown as Scope).navigator?.locks;
  if (!locks) return undefined;
  const channel = new BroadcastChannel(place);
  const leaving = new AbortController();
  const { signal } = leaving;
  const tabs: Tabs = {
    place,
    leads: false,
    tell: (code) => channel.postMessage(code),
    leave() {
      leaving.abort();
      channel.close();
    },
  };

  channel.onmessage = ({ data }) => {
    if (data) onEnd(data);
    else if (tabs.leads) onAsked();
    // Tabs that only ask must not take each other for the one that leads.
    else if (data === '') onTurn(false);
  };

  const hold: Hold = (lock) => {
    if (signal.aborted) return undefined;
    tabs.leads = lock !== null;
    onTurn(tabs.leads);
    if (lock) return new Promise((resolve) => signal.addEventListener('abort', resolve));
    request({ signal });
    return undefined;
  };

  const request = (how: LockOptions): void => {
    // Another tab takes the lock if it does not hear this one. Where there are no locks, each tab leads itself.
    locks.request(place, how, hold).catch(() => {
      if (tabs.leads) void hold(null);
      else if (!signal.aborted) onTurn((tabs.leads = true));
    });
  };

  request({ steal: takesOver, ifAvailable: !takesOver });
  return tabs;
}
