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
interface Channel {
  onmessage: ((message: { readonly data?: string }) => void) | null;
  postMessage(text?: string): void;
  close(): void;
}
type Hold = (lock: object | null) => Promise<void> | undefined;
type LockOptions = { readonly steal: true } | { readonly ifAvailable: true } | { readonly signal: Signal };
type Listen = (
  type: string,
  listener: (event: { readonly persisted?: boolean }) => void,
  options: { readonly signal: Signal },
) => void;
/** What not every place has where scripts run. */
interface Scope {
  readonly BroadcastChannel?: new (name: string) => Channel;
  readonly navigator?: { readonly locks?: { request(name: string, options: LockOptions, hold: Hold): Promise<void> } };
  readonly document?: { readonly visibilityState: string; readonly addEventListener: Listen };
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
    const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isObject(claims) ? claims : null;
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
  if (!claims) return true;
  const { exp } = claims;
  if (exp === undefined) return false;
  return typeof exp !== 'number' || now >= exp * 1000 + clockTolerance;
}

function isObject(value: unknown): value is LoginClaims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
 * Calls `onEnded` when the session of this page ends, whatever ends it. `url` is the route `/events` of `router()`. The tabs of a
 * browser share one connection. Returns a function that stops it.
 */
export function watchSession(url: string, { onEnded, onLive }: WatchOptions): () => void {
  const { document, addEventListener } = globalThis as unknown as Scope;
  const stopping = new AbortController();
  const { signal: stopped } = stopping;
  let address = url;
  let connection = new AbortController();
  let tabs: Tabs | undefined;
  let failures = 0;
  let dueAt = 0;
  let timer: unknown;

  function connectIn(ms: number, due = Date.now() + ms): void {
    clearTimeout(timer);
    dueAt = due;
    // What was read just before may come after.
    if (!stopped.aborted) timer = setTimeout(connect, ms);
  }

  function connect(): void {
    connection.abort();
    connection = new AbortController();
    heard();
    void listen(connection.signal);
  }

  /** From the server. */
  function heard(): void {
    connectIn(SILENCE);
    tabs?.tell('');
  }

  function retry(pause = 0): void {
    connection.abort();
    connectIn(Math.max(pause, 1000 * Math.min(40, 2 ** failures++) * (0.5 + Math.random())), 0);
  }

  /** The page may have slept, or the one that leads waits to try again. */
  function wake(): void {
    if (Date.now() > dueAt) connect();
    else if (!tabs?.leads) tabs?.tell();
  }

  function letGo(): void {
    clearTimeout(timer);
    connection.abort();
    tabs?.leave();
    tabs = undefined;
  }

  function stop(): void {
    stopping.abort();
    letGo();
  }

  function end(code: string): void {
    if (stopped.aborted) return;
    tabs?.tell(code);
    stop();
    queueMicrotask(() => onEnded({ code }));
  }

  async function listen(signal: Signal): Promise<void> {
    let pause = 0;
    try {
      const answer = await fetch(address, { headers: { accept: EVENTS }, credentials: 'include', signal });
      const { body, headers, status } = answer;
      if (status === 401) {
        const problem = (await answer.json().catch(() => null)) as { code?: string } | null;
        end(problem?.code ?? 'signed_out');
      }
      pause = 1000 * Math.min(3600, Number(headers.get('retry-after')) || 0);
      // A proxy may have led to a login page.
      if (body && headers.get('content-type')?.startsWith(EVENTS)) await readEvents(body.getReader(), heard, onEvent);
    } catch {
      // Not reached, or cut off.
    }
    if (!signal.aborted) retry(pause);
  }

  function onEvent(name = '', data = ''): void {
    if (name === 'event: signed-out') end('signed_out');
    else if (name === 'event: signed-in') {
      if (onLive) queueMicrotask(onLive);
      // By the next time, somebody else may have signed in.
      address = url.replace(/\?|$/, `?handle=${data.split('"')[3] ?? ''}&`);
      meet(`managed-sessions ${data}`);
    } else failures = 0;
  }

  function meet(place: string): void {
    const isKnown = tabs?.place === place;
    if (isKnown && tabs?.leads) return;
    tabs?.leave();
    // A tab that leads and is not heard may stand still, as on a phone.
    tabs = joinTabs(place, isKnown, {
      end,
      wake,
      lead() {
        if (connection.signal.aborted) connect();
      },
      follow() {
        connection.abort();
        connectIn(2 * SILENCE);
      },
      lose() {
        letGo();
        retry();
      },
    });
  }

  const options = { signal: stopped };
  addEventListener?.('pagehide', letGo, options);
  addEventListener?.('pageshow', ({ persisted }) => persisted && connect(), options);
  addEventListener?.('online', wake, options);
  document?.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && wake(), options);
  connect();
  return stop;
}

/** The tabs with the same session. One of them leads: it has the connection, and tells the others what it hears. */
interface Tabs {
  readonly place: string;
  leads: boolean;
  /** The code with which the session ended. Empty: it goes on. None: asks the one that leads. */
  tell(code?: string): void;
  leave(): void;
}

/** What comes from the other tabs. */
interface TabsOptions {
  readonly end: (code: string) => void;
  readonly wake: () => void;
  readonly lead: () => void;
  readonly follow: () => void;
  readonly lose: () => void;
}

/** Undefined where tabs cannot know of each other: then each has a connection of its own. */
function joinTabs(place: string, takesOver: boolean, { end, wake, lead, follow, lose }: TabsOptions): Tabs | undefined {
  const { BroadcastChannel, navigator } = globalThis as unknown as Scope;
  const locks = navigator?.locks;
  if (!locks || !BroadcastChannel) return undefined;
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
    if (data) end(data);
    else if (tabs.leads) wake();
    // Tabs that only ask must not take each other for the one that leads.
    else if (data === '') follow();
  };

  function hold(lock: object | null): Promise<void> | undefined {
    if (signal.aborted) return;
    if (!lock) {
      follow();
      request({ signal });
      return;
    }
    tabs.leads = true;
    lead();
    return new Promise((resolve) => signal.addEventListener('abort', resolve));
  }

  function request(how: LockOptions): void {
    locks?.request(place, how, hold).catch(() => {
      if (!signal.aborted) lose();
    });
  }

  request(takesOver ? { steal: true } : { ifAvailable: true });
  return tabs;
}

/** Calls `onEvent` with the lines of each event, and `onHeard` with whatever comes. Returns if an event is too long. */
async function readEvents(
  reader: Reader,
  onHeard: () => void,
  onEvent: (name?: string, data?: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for (let text = ''; ;) {
    const { value, done } = await reader.read();
    if (done || text.length > LONGEST_EVENT) return;
    onHeard();
    const events = (text + decoder.decode(value, { stream: true })).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) onEvent(...event.split('\n'));
  }
}
