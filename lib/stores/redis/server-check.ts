/** What the store must know of the servers it is connected to: whether they are recent enough, and whether they evict keys. */

/** The oldest version of Redis that can end sessions: the feed is trimmed by `MINID`. */
const OLDEST = { major: 6, minor: 2 };
/** How often a policy that was changed later is looked for, in milliseconds. */
const INTERVAL = 5 * 60_000;

interface Server {
  call(command: string, ...args: string[]): Promise<unknown>;
  readonly options: object;
}

/** The members of an ioredis client that are used. */
export interface InspectedClient extends Server {
  readonly isCluster: boolean;
  /** The nodes of a `Cluster`. */
  nodes?(role: 'master'): readonly Server[];
}

export interface ServerCheckOptions {
  /** In milliseconds, on a clock that never goes back. */
  readonly elapsed: () => number;
  /** Called with a policy that evicts, once for each change. */
  readonly onEviction: (policy: string) => void;
}

interface Finding {
  readonly tooOld: Error | null;
  /** Null if it is `noeviction`, or is not told. */
  readonly evicts: string | null;
}

/**
 * Asks with `INFO`: on every new connection, and every five minutes. In a Cluster, every master is asked. What a server does not
 * tell, because an ACL forbids it or because it is silent, is no problem.
 */
export class ServerCheck {
  readonly #options: ServerCheckOptions;
  #findings = new Map<string, Finding>();
  readonly #latest = new WeakMap<InspectedClient, Promise<void>>();
  #inspectedAt = -Infinity;
  #reported: string | null = null;

  constructor(options: ServerCheckOptions) {
    this.#options = options;
  }

  /** For each new connection of the client. */
  inspect(client: InspectedClient): Promise<void> {
    const inspection = this.#inspect(client);
    this.#latest.set(client, inspection);
    return inspection;
  }

  /** For each round of the feed. */
  inspectIfDue(client: InspectedClient): void {
    if (this.#options.elapsed() - this.#inspectedAt >= INTERVAL) void this.inspect(client);
  }

  /** Resolves once the connection was inspected. Rejects if a server is too old. */
  async pass(client: InspectedClient): Promise<void> {
    await (this.#latest.get(client) ?? this.inspect(client));
    const { tooOld } = this;
    if (tooOld !== null) throw tooOld;
  }

  /** Why no command is sent. Null if every server is recent enough. */
  get tooOld(): Error | null {
    return this.#first(({ tooOld }) => tooOld);
  }

  /** Why ended sessions may come back. Null if no server is known to evict. */
  get eviction(): Error | null {
    const policy = this.#first(({ evicts }) => evicts);
    return policy === null ? null : new Error(evictionProblem(policy));
  }

  /** Resolves once one of the client's servers has answered, or none can. Never rejects. */
  async #inspect(client: InspectedClient): Promise<void> {
    this.#inspectedAt = this.#options.elapsed();
    const servers = client.isCluster ? (client.nodes?.('master') ?? []) : [client];
    const addresses = servers.map(addressOf);
    // A server that is no longer a master does not count.
    this.#findings = new Map([...this.#findings].filter(([address]) => addresses.includes(address)));
    await Promise.any(servers.map((server) => this.#ask(server))).catch(() => undefined);
  }

  async #ask(server: Server): Promise<void> {
    const [about, memory] = await Promise.all([server.call('info', 'server'), server.call('info', 'memory')]);
    this.#findings.set(addressOf(server), {
      tooOld: tooOldProblem(String(about)),
      evicts: evictingPolicy(String(memory)),
    });
    this.#report();
  }

  #report(): void {
    const policy = this.#first(({ evicts }) => evicts);
    const isNew = policy !== this.#reported;
    this.#reported = policy;
    if (policy !== null && isNew) this.#options.onEviction(policy);
  }

  #first<Value>(of: (finding: Finding) => Value | null): Value | null {
    for (const finding of this.#findings.values()) {
      const value = of(finding);
      if (value !== null) return value;
    }
    return null;
  }
}

export function evictionProblem(policy: string): string {
  return `Redis has the maxmemory-policy ${policy}, so it may evict what says that a session was ended; set noeviction`;
}

/** The same for every connection to one server. */
function addressOf({ options }: Server): string {
  const { host, port } = options as { readonly host?: unknown; readonly port?: unknown };
  return `${String(host)}:${String(port)}`;
}

/** Valkey reports the version of Redis with which it is compatible. */
export function tooOldProblem(info: string): Error | null {
  const found = /^redis_version:((\d+)\.(\d+)[\w.-]*)/m.exec(info);
  if (found === null) return null;
  const [, version = '', major, minor] = found;
  const isTooOld = Number(major) < OLDEST.major || (Number(major) === OLDEST.major && Number(minor) < OLDEST.minor);
  if (!isTooOld) return null;
  return new Error(`Redis ${version} is too old: managed-sessions needs Redis 6.2 or later, or Valkey`);
}

export function evictingPolicy(info: string): string | null {
  const policy = /^maxmemory_policy:([\w-]+)/m.exec(info)?.[1];
  return policy === undefined || policy === 'noeviction' ? null : policy;
}
