/** Server-sent events (WHATWG HTML, section 9.2) that tell a client when its session ends. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { LoginError } from '../core/errors.js';
import type { LoginSession } from './app-request.js';
import { isOver } from './respond.js';

/** The most open streams of one session in one process. One more ends the oldest. */
const STREAMS_OF_SESSION = 32;
/** Each stream gets a heartbeat in one of so many ticks, so that they do not all come at once. */
const TURNS = 16;
const TICK = 1000;

const HEARTBEAT = ':\n\n';
const SIGNED_OUT = 'event: signed-out\ndata: {}\n\n';
const signedIn = (handle: string): string => `event: signed-in\ndata: ${JSON.stringify({ handle })}\n\n`;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  // Compression would hold events back.
  'Cache-Control': 'no-store, no-transform',
  // nginx would, too.
  'X-Accel-Buffering': 'no',
  'X-Content-Type-Options': 'nosniff',
} as const;

/** The open streams of one session. One listener for all of them: Node warns of more than ten. */
interface Session {
  readonly streams: Set<Stream>;
  readonly release: () => void;
}

interface Stream {
  readonly res: ServerResponse;
  readonly session: Session;
  readonly turn: Set<Stream>;
  /** Whether the server that it came by has stopped accepting connections since. */
  readonly isServerClosing: () => boolean;
  readonly onClosed: () => void;
}

export class EventStreams {
  readonly #sessions = new Map<AbortSignal, Session>();
  readonly #turns = Array.from({ length: TURNS }, () => new Set<Stream>());
  readonly #tickLength: number;
  #tick = 0;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** `tick` in milliseconds. A stream gets a heartbeat every 16 ticks. */
  constructor({ tick = TICK }: { readonly tick?: number } = {}) {
    this.#tickLength = tick;
  }

  /**
   * Answers a request with a stream that ends with the session. `HEAD` gets the headers. Throws `LoginError`
   * `store_unavailable` after `close()`.
   */
  open(req: IncomingMessage, res: ServerResponse, { handle, signal }: LoginSession): void {
    if (signal.aborted) this.sayEnded(req, res);
    else if (this.#begin(req, res)) {
      // Whatever happens to the connection, 'close' follows.
      res.on('error', () => undefined);
      res.write(signedIn(handle));
      this.#add(req, res, this.#sessionOf(signal));
    }
  }

  /** Answers with a stream that says that the session has ended, and is over. Throws as {@link open} does. */
  sayEnded(req: IncomingMessage, res: ServerResponse): void {
    if (this.#begin(req, res)) res.end(SIGNED_OUT);
  }

  /** Whether there is more to say than the headers, and somebody to say it to. */
  #begin({ method }: IncomingMessage, res: ServerResponse): boolean {
    if (this.#isClosed) throw new LoginError('store_unavailable', 'This process is about to end');
    if (isOver(res)) return false;
    res.statusCode = 200;
    for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
    if (method === 'HEAD') res.end();
    return method !== 'HEAD';
  }

  /** Ends every stream, without the event: its session goes on. */
  close(): void {
    this.#isClosed = true;
    for (const { streams } of this.#sessions.values()) for (const stream of streams) this.#end(stream);
  }

  #sessionOf(signal: AbortSignal): Session {
    const known = this.#sessions.get(signal);
    if (known !== undefined) return known;
    const streams = new Set<Stream>();
    const onEnded = (): void => {
      for (const stream of streams) this.#end(stream, SIGNED_OUT);
    };
    const release = (): void => {
      signal.removeEventListener('abort', onEnded);
      this.#sessions.delete(signal);
    };
    const session: Session = { streams, release };
    signal.addEventListener('abort', onEnded);
    this.#sessions.set(signal, session);
    return session;
  }

  #add(req: IncomingMessage, res: ServerResponse, session: Session): void {
    const turn = this.#turns[Math.floor(Math.random() * TURNS)] ?? new Set();
    const onClosed = (): void => this.#remove(stream);
    const stream: Stream = { res, session, turn, isServerClosing: closingOf(req), onClosed };
    session.streams.add(stream);
    turn.add(stream);
    res.on('close', onClosed);
    const [oldest] = session.streams;
    if (oldest !== undefined && session.streams.size > STREAMS_OF_SESSION) this.#end(oldest);
    this.#timer ??= setInterval(() => this.#onTick(), this.#tickLength).unref();
  }

  #end(stream: Stream, lastWords?: string): void {
    this.#remove(stream);
    if (!isOver(stream.res)) stream.res.end(lastWords);
  }

  #remove(stream: Stream): void {
    const { res, session, turn, onClosed } = stream;
    res.removeListener('close', onClosed);
    turn.delete(stream);
    session.streams.delete(stream);
    if (session.streams.size > 0) return;
    session.release();
    if (this.#timer === null || this.#sessions.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #onTick(): void {
    // `server.close()` waits for every response, and the application calls it before `close()`.
    for (const turn of this.#turns) for (const stream of turn) if (stream.isServerClosing()) this.#end(stream);
    this.#tick = (this.#tick + 1) % TURNS;
    for (const stream of this.#turns[this.#tick] ?? []) this.#beat(stream);
  }

  #beat(stream: Stream): void {
    const { res } = stream;
    if (isOver(res)) this.#remove(stream);
    // Nobody has read the last heartbeat: what waits for this client must not grow.
    else if (res.writableLength > 0) res.destroy();
    else res.write(HEARTBEAT);
  }
}

/** Node links each socket with its server. Requests of test kits and adapters may have neither. */
function closingOf({ socket }: { readonly socket?: object }): () => boolean {
  const server: unknown = socket === undefined ? undefined : Reflect.get(socket, 'server');
  // One that never listened was given its connections by somebody else.
  if (!isServer(server) || !server.listening) return () => false;
  return () => !server.listening;
}

function isServer(value: unknown): value is { readonly listening: boolean } {
  return typeof value === 'object' && value !== null && 'listening' in value;
}
