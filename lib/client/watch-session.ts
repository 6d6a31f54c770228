/** Tells a page when its session ends, by the route `/events` of `router()`. */

// Declared here, as far as they are used, so that the module needs neither the types of the DOM nor those of Node.
interface Signal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
}
declare class AbortController {
  readonly signal: Signal;
  abort(): void;
}
interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): Reader } | null;
  json(): Promise<unknown>;
}
interface Reader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
}
interface Channel {
  onmessage: ((message: { readonly data: string }) => void) | null;
  postMessage(text: string): void;
  close(): void;
}
type Hold = (lock: object | null) => Promise<void> | undefined;
type LockOptions = { readonly steal: true } | { readonly ifAvailable: true } | { readonly signal: Signal };
interface Scope {
  readonly BroadcastChannel?: new (name: string) => Channel;
  readonly navigator?: { readonly locks?: { request(name: string, options: LockOptions, hold: Hold): Promise<void> } };
  readonly document?: Listening & { readonly visibilityState: string };
  readonly addEventListener?: Listening['addEventListener'];
}
interface Listening {
  addEventListener(
    type: string,
    listener: (event: { readonly persisted?: boolean }) => void,
    options: { signal: Signal },
  ): void;
}
declare class TextDecoder {
  decode(bytes: Uint8Array | undefined, options: { stream: boolean }): string;
}
declare function fetch(url: string, options: object): Promise<Answer>;
declare function setTimeout(work: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function queueMicrotask(work: () => void): void;

export interface WatchOptions {
  /**
   * Called once, when the session has ended. `code` is that of the 401 with which the server refused the session, such as
   * `session_idle` or `token_expired`. It is `signed_out` if the session ended while it was watched, or if the 401 has no code.
   */
  readonly onEnded: (ended: { readonly code: string }) => void;
  /** Called whenever the server has confirmed that the session is live: at the start, after a page came back, after an outage. */
  readonly onLive?: () => void;
}

/** Milliseconds without a heartbeat, which comes every 16 seconds, until a connection is taken for dead. */
const SILENCE = 45_000;

export function watchSession(url: string, { onEnded, onLive }: WatchOptions): () => void {
  const { BroadcastChannel, navigator, document, addEventListener } = globalThis as unknown as Scope;
  const locks = navigator?.locks;
  const stopping = new AbortController();
  const { signal: stopped } = stopping;
  let connection = new AbortController();
  let timer: unknown;
  let dueAt = 0;
  let failures = 0;
  // The tabs with the same session meet by its handle. One of them leads: it has the connection, and tells the others.
  let session = '';
  let leads = false;
  let tell: (code: string) => void = () => undefined;
  let leave = (): void => undefined;

  function connectIn(ms: number, due = Date.now() + ms): void {
    clearTimeout(timer);
    dueAt = due;
    timer = setTimeout(connect, ms);
  }

  function connect(): void {
    connection.abort();
    connection = new AbortController();
    connectIn(SILENCE);
    tell('');
    void listen(connection.signal);
  }

  function retry(pause = 0): void {
    connection.abort();
    connectIn(Math.max(pause, 1000 * Math.min(40, 2 ** failures++) * (0.5 + Math.random())), 0);
  }

  /** The page may have been asleep. */
  function wake(): void {
    if (Date.now() > dueAt) connect();
    else if (!leads) tell('');
  }

  function letGo(): void {
    clearTimeout(timer);
    connection.abort();
    leave();
  }

  function stop(): void {
    stopping.abort();
    letGo();
  }

  function end(code: string): void {
    if (stopped.aborted) return;
    tell(code);
    stop();
    queueMicrotask(() => onEnded({ code }));
  }

  async function listen(signal: Signal): Promise<void> {
    let pause = 0;
    try {
      const answer = await fetch(url, { headers: { accept: 'text/event-stream' }, credentials: 'include', signal });
      const { body, headers, status } = answer;
      if (status === 401) {
        const problem = (await answer.json().catch(() => null)) as { code?: string } | null;
        end(problem?.code ?? 'signed_out');
        return;
      }
      pause = 1000 * Math.min(3600, Number(headers.get('retry-after')) || 0);
      if (status === 200 && body) await read(body.getReader());
    } catch {
      // Not reached, or cut off.
    }
    if (!signal.aborted) retry(pause);
  }

  async function read(reader: Reader): Promise<void> {
    const decoder = new TextDecoder();
    for (let text = ''; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      connectIn(SILENCE);
      tell('');
      const events = (text + decoder.decode(value, { stream: true })).split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const [name, handle] = event.split('\ndata: ');
        if (name === 'event: signed-out') end('signed_out');
        else if (name !== 'event: signed-in') failures = 0;
        else {
          if (onLive) queueMicrotask(onLive);
          meet(`managed-sessions ${handle ?? ''}`);
        }
      }
    }
  }

  function meet(place: string): void {
    const isKnown = place === session;
    if (!locks || !BroadcastChannel || (isKnown && leads)) return;
    leave();
    const channel = new BroadcastChannel(place);
    const leaving = new AbortController();
    const { signal } = leaving;
    session = place;
    tell = (code) => {
      if (!signal.aborted) channel.postMessage(code);
    };
    leave = () => {
      leaving.abort();
      channel.close();
      session = '';
      leads = false;
    };
    channel.onmessage = ({ data }) => {
      if (data) end(data);
      else if (leads) wake();
      else connectIn(2 * SILENCE);
    };
    const hold: Hold = (lock) => {
      if (signal.aborted) return;
      if (!lock) {
        connection.abort();
        connectIn(2 * SILENCE);
        request({ signal });
        return;
      }
      leads = true;
      if (connection.signal.aborted) connect();
      return new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    const request = (how: LockOptions): void => {
      locks.request(place, how, hold).catch(() => {
        if (signal.aborted) return;
        leave();
        retry();
      });
    };
    // A tab that leads and is not heard may stand still, as on a phone.
    request(isKnown ? { steal: true } : { ifAvailable: true });
  }

  const options = { signal: stopped };
  addEventListener?.('pagehide', letGo, options);
  addEventListener?.('pageshow', ({ persisted }) => persisted && connect(), options);
  addEventListener?.('online', wake, options);
  document?.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && wake(), options);
  connect();
  return stop;
}
