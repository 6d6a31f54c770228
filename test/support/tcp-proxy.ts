/** A TCP proxy that misbehaves on demand: what a network can do between a process and its Redis. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** `up`: from the client to the target. */
export type Direction = 'up' | 'down' | 'both';

export interface TcpProxy {
  readonly port: number;
  /** Resets every connection; new ones are served. */
  cut(): void;
  /** Closes the door: new connections are refused, standing ones go on. */
  refuse(): void;
  /** Nothing passes any more, on standing and on new connections, and nobody is told. What was sent meanwhile arrives after `heal()`. */
  blackhole(direction?: Direction): void;
  /** What arrives from now on passes after `ms`, in order; 0 ends it. */
  delay(ms: number, direction?: Direction): void;
  /** As at the beginning, for standing and for new connections. Resolves once new ones are accepted. */
  heal(): Promise<void>;
  /** New connections go to another port, as behind a name. Those that stand go on. */
  redirect(port: number): void;
  /** The same, and those that stand are reset. */
  retarget(port: number): void;
  /** How many connections stand; of a silent one the end is not noticed. */
  connections(): number;
  /** How many were ever accepted. */
  accepted(): number;
  close(): Promise<void>;
}

interface Weather {
  silent: boolean;
  delay: number;
}

/** One way through the proxy. */
class Lane {
  /** `null`: the sender has said goodbye. */
  readonly #due: { readonly at: number; readonly chunk: Buffer | null }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly from: Socket,
    readonly to: Socket,
    readonly weather: Weather,
    rewrite?: (text: string) => string,
  ) {
    from.on('data', (chunk) => {
      this.#pass(rewrite === undefined ? chunk : Buffer.from(rewrite(chunk.toString('latin1')), 'latin1'));
    });
    from.on('end', () => this.#pass(null));
    from.on('close', () => clearTimeout(this.#timer));
    this.adjust();
  }

  /** A silent lane is not read from: the sender's own buffers fill up, as on a network that swallows everything. */
  adjust(): void {
    if (this.weather.silent) this.from.pause();
    else this.from.resume();
  }

  #pass(chunk: Buffer | null): void {
    if (this.weather.delay === 0 && this.#due.length === 0) {
      this.#write(chunk);
      return;
    }
    this.#due.push({ at: performance.now() + this.weather.delay, chunk });
    this.#wait();
  }

  #wait(): void {
    const [next] = this.#due;
    if (next === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#due.shift();
      this.#write(next.chunk);
      this.#wait();
    }, next.at - performance.now());
  }

  #write(chunk: Buffer | null): void {
    if (chunk === null) this.to.end();
    else if (this.to.writable) this.to.write(chunk);
  }
}

export interface ProxyTarget {
  readonly host?: string;
  readonly port: number;
  /** Changes what passes down. The length must stay, because replies of Redis contain it. */
  readonly rewrite?: (text: string) => string;
}

/** Starts a proxy on a free port of the loopback. */
export async function startProxy(target: ProxyTarget): Promise<TcpProxy> {
  const up: Weather = { silent: false, delay: 0 };
  const down: Weather = { silent: false, delay: 0 };
  const sockets = new Set<Socket>();
  const lanes = new Map<Socket, readonly Lane[]>();
  const { host = '127.0.0.1', rewrite } = target;
  let targetPort = target.port;
  let accepted = 0;

  const server = createServer({ allowHalfOpen: true }, (client) => {
    accepted++;
    const upstream = connect({ host, port: targetPort, allowHalfOpen: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        lanes.delete(client);
        other.destroy();
      });
    }
    lanes.set(client, [new Lane(client, upstream, up), new Lane(upstream, client, down, rewrite)]);
  });

  async function listen(port: number): Promise<number> {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  function change(direction: Direction, weather: Partial<Weather>): void {
    if (direction !== 'down') Object.assign(up, weather);
    if (direction !== 'up') Object.assign(down, weather);
    for (const pair of lanes.values()) for (const lane of pair) lane.adjust();
  }

  function reset(): void {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  const port = await listen(0);
  return {
    port,
    cut: reset,
    refuse: () => void server.close(),
    blackhole: (direction = 'both') => change(direction, { silent: true }),
    delay: (ms, direction = 'both') => change(direction, { delay: ms }),
    async heal() {
      change('both', { silent: false, delay: 0 });
      if (!server.listening) await listen(port);
    },
    redirect(to) {
      targetPort = to;
    },
    retarget(to) {
      targetPort = to;
      reset();
    },
    connections: () => lanes.size,
    accepted: () => accepted,
    async close() {
      const closed = server.listening ? once(server, 'close') : Promise.resolve();
      server.close();
      reset();
      await closed;
    },
  };
}
