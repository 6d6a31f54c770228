/** Whether the sessions' store works: every server of it, the slots of a Cluster, the feed, and what it says of a session. */

import { setTimeout as pause } from 'node:timers/promises';
import { isLoginError } from '../core/errors.js';
import { Ledger } from '../ledger/ledger.js';
import type { Settings } from '../settings.js';
import type { SessionStore } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { TOKEN_ADVICE } from './advice.js';
import { checkServer, type Server, type ServerCheck } from './check-redis.js';
import { shownMoment } from './clock.js';
import type { Report } from './findings.js';
import type { Address, RedisPlace } from './redis-place.js';

const SLOTS = 16_384;

/** Whether everything that was asked for could be reached. */
export async function checkServers(
  place: RedisPlace,
  check: Omit<ServerCheck, 'isCluster' | 'name'>,
  timeout: number,
  report: Report,
): Promise<boolean> {
  if (!place.isCluster) {
    return reached(place, undefined, timeout, report, (server) =>
      checkServer(server, { ...check, isCluster: false }, report),
    );
  }
  let masters: readonly Address[] = [];
  for (const node of place.nodes) {
    const isReached = await reached(place, node, timeout, report, async (server) => {
      masters = await checkSlots(server, node, report);
    });
    if (isReached && masters.length > 0) break;
  }
  let areReached = masters.length > 0;
  for (const master of masters) {
    const name = `${master.host}:${String(master.port)}`;
    const isReached = await reached(place, master, timeout, report, (server) =>
      checkServer(server, { ...check, name, isCluster: true }, report),
    );
    areReached &&= isReached;
  }
  return areReached;
}

/** Calls `ask` with a connection. If it cannot connect, or loses the connection, it reports that and resolves with false. */
async function reached(
  place: RedisPlace,
  address: Address | undefined,
  timeout: number,
  report: Report,
  ask: (server: Server) => Promise<void>,
): Promise<boolean> {
  const client = place.open(address, timeout);
  let broken: Error | undefined;
  client.on('error', (error: Error) => (broken ??= error));
  try {
    await client.connect();
    await client.call('ping').catch((error: unknown) => {
      // Whoever may not ping may do all else.
      if (!(error instanceof Error && error.message.startsWith('NOPERM'))) throw error;
    });
    await ask(client);
    return true;
  } catch (error) {
    const { message } = broken ?? (error as Error);
    const where = address === undefined ? place.name : `${address.host}:${String(address.port)}`;
    const isPassword = /^(WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(message);
    const howToReach = message.includes('certificate')
      ? 'If its certificate is of a CA of your own, name that CA in NODE_EXTRA_CA_CERTS: docs/redis.md#tls-with-a-ca-of-your-own.'
      : 'Is it the right host and port, does Redis run, and may this machine connect to it? For TLS, the URL begins with rediss://.';
    report({
      about: 'redis',
      level: isPassword ? 'problem' : 'unreachable',
      code: isPassword ? 'redis_login' : 'redis_unreachable',
      says: `${where} ${isPassword ? 'refuses the login' : 'cannot be reached'}: ${message}.`,
      advice: isPassword ? 'Compare the user and the password of Redis with its ACL.' : howToReach,
    });
    return false;
  } finally {
    // To disconnect a connection that has already ended would delay the end of the process.
    if (client.status !== 'end') client.disconnect();
  }
}

/** The masters of the Cluster, as this node knows them. */
async function checkSlots(server: Server, node: Address, report: Report): Promise<readonly Address[]> {
  const reply = await server.call('cluster', 'slots').catch((error: unknown) => error as Error);
  if (reply instanceof Error) {
    const isNone = /cluster support disabled/i.test(reply.message);
    const says = isNone ? 'This server is not a node of a Cluster.' : `CLUSTER SLOTS is refused: ${reply.message}.`;
    const advice = isNone ? 'Leave out cluster.' : 'ACL SETUSER … +cluster|slots +cluster|info';
    report({ about: 'redis', level: 'problem', code: isNone ? 'redis_no_cluster' : 'redis_acl', says, advice });
    return [];
  }
  const ranges = (Array.isArray(reply) ? (reply as unknown[]) : []).map(rangeOf(node.host));
  const covered = ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  if (covered < SLOTS) {
    const missing = SLOTS - covered;
    const says = `${String(missing)} of the ${String(SLOTS)} slots have no master: the users in them get 503, and with cluster-require-full-coverage all users do.`;
    const advice = 'redis-cli --cluster check shows which; redis-cli --cluster fix gives them to a master.';
    report({ about: 'redis', level: 'problem', code: 'redis_slots_missing', says, advice });
  } else {
    report({ about: 'redis', level: 'ok', code: 'redis_slots', says: `All ${String(SLOTS)} slots have a master.` });
  }
  const masters = new Map(ranges.map(({ master }) => [`${master.host}:${String(master.port)}`, master]));
  return [...masters.values()];
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly master: Address;
}

/** A node that does not know its own address gives an empty one. */
function rangeOf(asked: string): (range: unknown) => Range {
  return (range) => {
    const [from, to, [host, port]] = range as [number, number, [string | null, number]];
    return { from, to, master: { host: host === null || host === '' ? asked : host, port } };
  };
}

/** How often the feed is looked at, in milliseconds. */
const LOOK_EVERY = 20;

export interface StoreCheck {
  readonly store: SessionStore;
  readonly settings: Settings;
  readonly clockTolerance: number;
  /** The token whose session is looked up. Null: none. Nothing is recorded of it. */
  readonly token: VerifiedToken | null;
}

/** As a process of the application uses it: the feed is read, and the token's session judged. */
export async function checkStore(
  { store, settings, clockTolerance, token }: StoreCheck,
  report: Report,
): Promise<void> {
  const {
    idleTimeout,
    tombstoneFor,
    storeTimeout,
    revocationBound,
    maxSessionsPerUser: maxSessions,
    atSessionLimit,
  } = settings;
  const policy = { idleTimeout, clockTolerance, tombstoneFor, maxSessions, atSessionLimit };
  store.configure({ storeTimeout, revocationBound });
  const ledger = new Ledger({
    ...settings,
    store,
    clockTolerance,
    policyOf: () => policy,
    track: () => true,
    emit: () => undefined,
  });
  try {
    const until = performance.now() + 3 * storeTimeout;
    while (!ledger.health().feed.ok && performance.now() < until) await pause(LOOK_EVERY);
    const { ok, lastError } = ledger.health().feed;
    if (ok) report({ about: 'redis', level: 'ok', code: 'redis_feed', says: 'The feed of endings can be read.' });
    else {
      const says = `The feed of endings cannot be read: ${lastError?.message ?? 'there was no answer in time'}.`;
      report({ about: 'redis', level: 'problem', code: 'redis_feed', says, advice: 'See what else is said of Redis.' });
    }
    if (token !== null) await checkSession(ledger, token, settings, report);
  } finally {
    await ledger.close();
  }
}

async function checkSession(
  ledger: Ledger,
  token: VerifiedToken,
  { handles, clock }: Settings,
  report: Report,
): Promise<void> {
  const about = 'session';
  const handle = handles.shown(token.handle);
  const now = clock.now();
  try {
    const { startedAt } = await ledger.peek(token, now);
    const says = `The session has not ended. It began ${shownMoment(startedAt, now)}. Its handle is ${handle}.`;
    report({ about, level: 'ok', code: 'session_live', says });
  } catch (error) {
    if (!isLoginError(error)) throw error;
    const advice = TOKEN_ADVICE[error.code];
    const reason = error.reason === undefined ? '' : ` The reason is ${error.reason}.`;
    const says = `Requests with this token get ${String(error.status)} ${error.code}: ${error.message}.${reason} The handle of the session is ${handle}.`;
    const level = error.status === 503 ? 'unreachable' : 'problem';
    report({ about, level, code: error.code, says, ...(advice !== undefined && { advice }) });
  }
}
